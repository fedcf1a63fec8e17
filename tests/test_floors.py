"""The walls between the floors, read from the source: who may import whom, and who may do what."""

import ast
import functools
import graphlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import batchroute

PACKAGE = Path(batchroute.__path__[0])

FLOORS = {"core": 0, "job": 1, "routing": 2, "io": 3, "providers": 3, "engine": 4, "report": 4, "cli": 5}
BELOW_IO = {"core", "job", "routing"}

HTTP_CLIENTS = {
    "aiohttp",
    "http",
    "httpcore",
    "httpx",
    "httptools",
    "httpx2",
    "openai",
    "pyreqwest",
    "requests",
    "urllib3",
}
WORLD = {
    *("asyncio", "anyio", "uvloop", "threading", "concurrent", "multiprocessing", "subprocess", "selectors"),
    *("socket", "socketserver", "ssl", "ftplib", "smtplib", "sqlite3", "aiofiles", "time"),
}
SHIPPED = {"routing/weights.py": {"pathlib", "read_parquet"}}
"""Reads one file, which is a part of the package beside it; what else it might do to files stays walled off."""

FILES = {"fileinput", "glob", "importlib.resources", "io", "os", "pathlib", "shutil", "tempfile"}
TERMINAL = {"click", "rich"}
STARTS = {"create_task", "ensure_future", "gather", "TaskGroup", "run_coroutine_threadsafe"}

LATE_IMPORTS = {
    ("job/expressions.py", "polars"): "only a job with an SQL stage is checked by it",
    ("job/schemas.py", "jsonschema_rs"): "only a job with a schema needs it",
    ("io/buckets.py", "boto3"): "an extra, and 0.3 s that a job without object storage need not spend",
    ("io/buckets.py", "botocore"): "comes with boto3",
    ("io/prices.py", "genai_prices"): "0.58 s that a job with declared prices need not spend",
    ("job/forms.py", "jsonschema_rs"): "0.06 s that a job without a JSON Schema need not spend",
    ("report/charts.py", "altair"): "an extra: the HTML report draws its own",
    ("io/tokenizers.py", "bpe_openai"): "an extra of 40 MB that only a plan asks for",
    ("providers/simulator/__main__.py", "uvloop"): "has no Windows build; the simulator does without it",
}


@dataclass(frozen=True)
class Import:
    """An import statement's one module; `late` when it stands inside a function."""

    module: str
    line: int
    late: bool


@dataclass(frozen=True)
class Module:
    """A module by its path inside the package, with its source."""

    path: str
    source: str

    @property
    def folder(self) -> str:
        return self.path.split("/")[0] if "/" in self.path else ""

    @property
    def name(self) -> str:
        parts = ["batchroute", *self.path.removesuffix(".py").split("/")]
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @functools.cached_property
    def imports(self) -> list[Import]:
        late = {
            child
            for node in ast.walk(self.tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.walk(node)
        }
        return [
            Import(module, node.lineno, node in late)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for module in self._modules(node)
        ]

    def _modules(self, node: ast.Import | ast.ImportFrom) -> list[str]:
        """`from a.b import c` is both `a.b` and `a.b.c`: c may be a module."""
        if isinstance(node, ast.Import):
            return [alias.name for alias in node.names]
        origin = node.module or ""
        if node.level:
            package = self.name.split(".") + (["_"] if self.path.endswith("__init__.py") else [])
            origin = ".".join([*package[: -node.level], *([origin] if origin else [])])
        return [origin, *(f"{origin}.{alias.name}" for alias in node.names)]


@functools.cache
def tree() -> list[Module]:
    return [
        Module(path.relative_to(PACKAGE).as_posix(), path.read_text("utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    ]


Wall = Callable[[Module], Iterator[str]]


def imports_go_down(module: Module) -> Iterator[str]:
    """Only from one's own folder or the floors below; the package itself lends its version alone."""
    for one in module.imports:
        if not _within(one.module, {"batchroute"}) or module.folder in {"", "cli"}:
            continue
        if one.module in {"batchroute", "batchroute.__version__"}:
            continue
        folder = one.module.split(".")[1]
        if folder != module.folder and FLOORS.get(folder, 9) >= FLOORS[module.folder]:
            yield f"{module.path}:{one.line} imports {one.module}"


def only_providers_speak_http(module: Module) -> Iterator[str]:
    clients = HTTP_CLIENTS | {"urllib.request"}
    for one in module.imports:
        if module.folder != "providers" and _within(one.module, clients):
            yield f"{module.path}:{one.line} imports {one.module}"


def no_world_below_io(module: Module) -> Iterator[str]:
    """No event loop, network, thread, process or clock; files in job alone, which loads the job file."""
    banned = WORLD if module.folder == "job" else WORLD | (FILES - SHIPPED.get(module.path, set()))
    for one in module.imports if module.folder in BELOW_IO else []:
        if _within(one.module, banned):
            yield f"{module.path}:{one.line} imports {one.module}"
    if module.folder in {"core", "routing"}:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and (name := _name(node.func)) and _opens_file(name):
                if name.rpartition(".")[2] in SHIPPED.get(module.path, set()):
                    continue
                yield f"{module.path}:{node.lineno} calls {name}"


def only_engine_starts_tasks(module: Module) -> Iterator[str]:
    if module.folder == "engine" or module.path.startswith("providers/simulator"):
        return
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Attribute):
            continue
        name = _name(node)
        # any owner's create_task, but only asyncio's gather: polars has one too
        if name and (name.endswith(".create_task") or name in {f"asyncio.{start}" for start in STARTS}):
            yield f"{module.path}:{node.lineno} uses {name}"
    for one in module.imports:
        if one.module in {f"asyncio.{start}" for start in STARTS}:
            yield f"{module.path}:{one.line} imports {one.module}"


def only_cli_prints(module: Module) -> Iterator[str]:
    # the simulator's own process tells its port on stdout
    if module.folder == "cli" or module.path.startswith("providers/simulator"):
        return
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        name = _name(node)
        if name in {"print", "sys.stdin", "sys.stdout", "sys.stderr"}:
            yield f"{module.path}:{node.lineno} uses {name}"
    for one in module.imports:
        if _within(one.module, TERMINAL | {"sys.stdout", "sys.stderr", "getpass"}):
            yield f"{module.path}:{one.line} imports {one.module}"


def imports_stand_at_the_top(module: Module) -> Iterator[str]:
    """Outside cli, whose commands import what they need, and the package, whose names are lazy."""
    for one in module.imports:
        root = one.module.split(".")[0]
        if one.late and module.folder not in {"", "cli"} and (module.path, root) not in LATE_IMPORTS:
            yield f"{module.path}:{one.line} imports {one.module}"


WALLS: tuple[Wall, ...] = (
    imports_go_down,
    only_providers_speak_http,
    no_world_below_io,
    only_engine_starts_tasks,
    only_cli_prints,
    imports_stand_at_the_top,
)


@pytest.mark.parametrize("wall", WALLS, ids=lambda wall: str(wall.__name__))
def test_wall_stands(wall: Wall) -> None:
    assert [breach for module in tree() for breach in wall(module)] == []


def test_every_module_is_on_a_floor() -> None:
    assert {module.folder for module in tree()} - {""} <= FLOORS.keys()


def test_no_import_cycle() -> None:
    assert cycle(tree()) == []


def test_late_imports_are_all_needed() -> None:
    late = {
        (module.path, one.module.split(".")[0]) for module in tree() for one in module.imports if one.late
    }

    assert LATE_IMPORTS.keys() <= late


def cycle(modules: list[Module]) -> list[str]:
    """The names along one ring of imports, late ones included; empty when there is none."""
    names = {module.name for module in modules}
    graph = {
        module.name: {one.module for one in module.imports if one.module in names - {"batchroute"}}
        - {module.name, *_packages(module.name)}
        for module in modules
        if module.name != "batchroute"
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def _packages(name: str) -> set[str]:
    parts = name.split(".")
    return {".".join(parts[:end]) for end in range(1, len(parts))}


def _within(module: str, names: set[str]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def _name(node: ast.expr) -> str | None:
    """The dotted name of an expression; a call or a subscript inside it counts as nothing."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_name(node.value) or ''}.{node.attr}"
    return None


def _opens_file(name: str) -> bool:
    reads = ("read_", "scan_", "write_", "sink_")
    return name == "open" or (name.startswith(("pl.", "polars.")) and name.split(".")[1].startswith(reads))


@pytest.mark.parametrize(
    ("wall", "path", "source"),
    [
        (imports_go_down, "core/money.py", "from batchroute.job.jobs import Job"),
        (imports_go_down, "core/money.py", "from batchroute import job"),
        (imports_go_down, "core/money.py", "from ..job import jobs"),
        (imports_go_down, "core/money.py", "def f():\n    import batchroute.cli.main"),
        (imports_go_down, "io/store.py", "from batchroute.providers.provider import Provider"),
        (imports_go_down, "providers/wire.py", "import batchroute.io.store"),
        (imports_go_down, "engine/pools.py", "from batchroute.report import summary"),
        (imports_go_down, "report/html.py", "from batchroute.engine.clock import Clock"),
        (imports_go_down, "engine/pools.py", "from batchroute import load_job"),
        (imports_go_down, "core/__init__.py", "from ..job import jobs"),
        (only_providers_speak_http, "engine/pools.py", "import openai"),
        (only_providers_speak_http, "cli/run.py", "def f():\n    from openai.types import Batch"),
        (only_providers_speak_http, "io/prices.py", "from urllib import request"),
        (only_providers_speak_http, "report/html.py", "from http.client import HTTPConnection"),
        (no_world_below_io, "core/money.py", "import asyncio"),
        (no_world_below_io, "job/loading.py", "import concurrent.futures"),
        (no_world_below_io, "routing/health.py", "from time import monotonic"),
        (no_world_below_io, "routing/tasks.py", "from pathlib import Path"),
        (no_world_below_io, "routing/tasks.py", "from importlib import resources"),
        (no_world_below_io, "core/money.py", "def f(p):\n    return open(p)"),
        (no_world_below_io, "routing/tasks.py", "table = pl.read_csv('t.csv')"),
        (no_world_below_io, "routing/tasks.py", "table = pl.read_parquet('t.parquet')"),
        (no_world_below_io, "routing/weights.py", "def f(p):\n    return open(p)"),
        (no_world_below_io, "routing/weights.py", "import shutil"),
        (only_engine_starts_tasks, "io/store.py", "asyncio.create_task(f())"),
        (only_engine_starts_tasks, "io/store.py", "asyncio.get_running_loop().create_task(f())"),
        (
            only_engine_starts_tasks,
            "cli/run.py",
            "async def f():\n    async with asyncio.TaskGroup() as g: pass",
        ),
        (only_engine_starts_tasks, "providers/wire.py", "from asyncio import gather"),
        (only_cli_prints, "engine/pools.py", "print(1)"),
        (only_cli_prints, "engine/pools.py", "sys.stderr.write('x')"),
        (only_cli_prints, "report/summary.py", "from sys import stdout"),
        (only_cli_prints, "report/summary.py", "from rich.table import Table"),
        (imports_stand_at_the_top, "engine/pools.py", "def f():\n    import polars"),
        (imports_stand_at_the_top, "io/store.py", "async def f():\n    from genai_prices import data"),
    ],
)
def test_breach_is_seen(wall: Wall, path: str, source: str) -> None:
    assert list(wall(Module(path, source)))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("core/money.py", "from batchroute.core.responses import Usage"),
        ("core/money.py", "from .responses import Usage"),
        ("io/manifest.py", "from batchroute import __version__"),
        ("engine/pools.py", "from batchroute.io.store import Store\nimport asyncio"),
        ("engine/journey.py", "group.create_task(f())"),
        ("providers/wire.py", "from urllib.parse import urlsplit\nimport openai"),
        ("providers/simulator/server.py", "asyncio.get_running_loop().create_task(f())"),
        ("io/prices.py", "from urllib.parse import urlsplit\ndef f():\n    import genai_prices.types"),
        ("job/loading.py", "from pathlib import Path\nPath('a').read_text()"),
        ("routing/classifiers.py", "pl.Series([1]).gather([0]); pl.DataFrame({})"),
        ("cli/run.py", "def f():\n    import polars\n    print(1)"),
        ("__init__.py", "def __getattr__(name):\n    from batchroute.job.loading import load_job"),
    ],
)
def test_what_is_allowed_passes_every_wall(path: str, source: str) -> None:
    assert [breach for wall in WALLS for breach in wall(Module(path, source))] == []


def test_cycle_is_seen() -> None:
    ring = [
        Module("io/__init__.py", ""),
        Module("io/store.py", "from batchroute.io import parts"),
        Module("io/parts.py", "def f():\n    from .store import Store"),
        Module("io/prices.py", "from batchroute.io.parts import Parts"),
    ]

    assert set(cycle(ring)) == {"batchroute.io.parts", "batchroute.io.store"}
    assert cycle([ring[0], ring[1], ring[3]]) == []


def test_source_is_read_from_this_checkout() -> None:
    assert Path(__file__).parent.parent == PACKAGE.parent, sys.path
