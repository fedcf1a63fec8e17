"""Python functions that a job names: where they stand, and whether they do, found without running them."""

import ast
from pathlib import Path
from typing import Final, NamedTuple

from batchroute.job.problems import nearest

_FORM: Final = "Write module:function, such as rules:label for label() in rules.py beside the job file"


class FunctionName(NamedTuple):
    """`module:function`. The module is a file beside the job file, or in folders there: `a.b` is a/b.py."""

    module: str
    function: str

    @classmethod
    def of(cls, text: str) -> "FunctionName":
        """Raise ValueError for another form."""
        module, colon, function = text.partition(":")
        if not colon or not function.isidentifier() or not all(map(str.isidentifier, module.split("."))):
            raise ValueError(f"is not the name of a function. {_FORM}")
        return cls(module, function)

    def file(self, folder: Path) -> Path:
        """Where the module stands, seen from the folder of the job file."""
        return folder.joinpath(*self.module.split(".")).with_suffix(".py")


def missing(name: FunctionName, folder: Path) -> str | None:
    """Why there is no such function, as "what is wrong. What to do"; None where the file names it.

    Only reads the file: a job is loaded without running what stands beside it.
    """
    file = name.file(folder)
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except OSError:
        return f"finds no file {file}. Put it beside the job file"
    except (SyntaxError, ValueError) as error:
        line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return f"names {file}, which is not Python{line}. Mend it"
    names = _bound(tree)
    if name.function in names or "*" in names:
        return None
    return (
        f"names {name.function}, which {file} does not define{nearest(name.function, names)}. Write it there"
    )


def _bound(tree: ast.Module) -> set[str]:
    """The names that the module binds, `*` where it imports what cannot be known from here."""
    names = set[str]()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names
