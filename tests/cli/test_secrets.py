"""No file and no line of a run holds a key, whatever a provider makes of it; no key reaches another provider."""

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from click.testing import CliRunner

from batchroute.cli.main import batchroute as command
from batchroute.cli.telling import Told
from tests.builders import write_records
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute_anew, started
from tests.cli.receivers import HANG, Received, Receiver, Reply, always, completion, receiving

KEY = 'Zq7Xv/w9+K%3"pL\\2mN8rT5yB4'
PASSWORD = "Wk4Jf8Hs2Qd6Gn9Rb3Vz"
HOOK = "Tq5Ym7Lc9Xe1Ub3Np8Da"
CANARY = "canary of the error"


def error(text: str) -> bytes:
    return json.dumps({"error": {"message": f"{CANARY}: {text}", "type": "t", "code": "c"}}).encode()


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def half(key: str) -> str:
    return f"{key[:10]}********{key[-4:]}"


def cut_short(key: str) -> bytes:
    return completion(key).body[:-20]


# What a provider may make of the key that it was sent: by the model that was asked.
ECHOES: dict[str, Callable[[str], Reply]] = {
    "bad request": lambda key: Reply(400, error(key)),
    "key refused": lambda key: Reply(401, error(f"Incorrect API key provided: {key}.")),
    "key refused, half hidden": lambda key: Reply(401, error(f"Incorrect API key provided: {half(key)}.")),
    "billing": lambda key: Reply(402, error(key)),
    "forbidden, percent": lambda key: Reply(403, error(f"/v1?api_key={quote(key, safe='')}&x=1")),
    "not found, base64": lambda key: Reply(404, error(encoded(key))),
    "not found, basic auth": lambda key: Reply(404, error(f"Basic {encoded(f'user:{key}')}")),
    "timeout of the server, JSON in JSON": lambda key: Reply(408, error(json.dumps({"authorization": key}))),
    "conflict, repr": lambda key: Reply(409, error(repr(f"Bearer {key}"))),
    "too large": lambda key: Reply(413, error(key)),
    "unprocessable": lambda key: Reply(422, json.dumps({"detail": [{"input": key, "msg": CANARY}]}).encode()),
    "throttled": lambda key: Reply(429, error(key), {"retry-after": "0", "x-echo": quote(key)}),
    "server error, HTML": lambda key: Reply(
        500, f"<html><b>{key}</b>".encode(), {"content-type": "text/html"}
    ),
    "bad gateway, text": lambda key: Reply(
        502, f"upstream {key} failed".encode(), {"content-type": "text/plain"}
    ),
    "overloaded": lambda key: Reply(503, error(key)),
    "gateway timeout": lambda key: Reply(504, error(f"x{key}x")),
    "very long": lambda key: Reply(400, error("x" * (2048 - 40) + key)),
    "HTML for an answer": lambda key: Reply(200, f"<html>{key}".encode()),
    "error in an answer": lambda key: Reply(200, error(key)),
    "repeated in the answer": completion,
    "repeated in base64": lambda key: completion(f"you sent {encoded(f'Bearer {key}')}"),
    "repeated as names": lambda key: completion("fine", id=key, model=key),
    "unknown finish": lambda key: Reply(
        body=json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": key}]}).encode()
    ),
    "no choices": lambda key: Reply(body=json.dumps({"choices": [], "echo": key}).encode()),
    "wrong content": lambda key: Reply(
        body=json.dumps({"choices": [{"message": {"content": {"k": key}}}]}).encode()
    ),
    "broken JSON": lambda key: Reply(body=cut_short(key)),
    "cut body": lambda key: Reply(body=completion(key).body, length=10_000),
    "no UTF-8": lambda key: Reply(body=b"\xff" + key.encode()),
    "a stream": lambda key: Reply(body=f"data: {json.dumps(key)}\n\n".encode()),
    "a redirect": lambda key: Reply(307, b"", {"location": f"http://127.0.0.1:1/?{quote(key)}"}),
    "no HTTP": lambda key: Reply(raw=f"HELLO {key}\r\n\r\n".encode()),
    "a broken status line": lambda key: Reply(raw=f"HTTP/1.1 {key}\r\n\r\n".encode()),
    "a reset": lambda _: Reply(reset=True),
    "silence": lambda _: HANG,
}
ELSEWHERE: dict[str, dict[str, Any]] = {
    "nobody listens": {"base_url": "http://127.0.0.1:1/v1"},
    "no such host": {"base_url": "http://nowhere.invalid/v1"},
    "no TLS there": {"base_url": "https://127.0.0.1:{port}/v1"},
    "a proxy that refuses": {
        "base_url": "https://provider.invalid/v1", "proxy": f"http://user:{PASSWORD}@127.0.0.1:{{port}}",
    },
}  # fmt: skip
NAMES = [*ECHOES, *ELSEWHERE]


def misbehaving(received: Received) -> Reply:
    if received.path.startswith(("/hook/", "/ping/")):
        return Reply(500, received.path.encode(), {"location": received.path})
    if received.path.endswith(":443"):
        return Reply(407, PASSWORD.encode())
    key = received.headers["authorization"].removeprefix("Bearer ")
    assert key == KEY
    return ECHOES[received.model](key)


def forms(secret: str) -> Iterator[bytes]:
    """Every way to write a secret that the search knows, and its beginning."""
    octets = secret.encode()
    yield from (octets, octets[:8], quote(secret, safe="").encode(), quote(secret, safe="").lower().encode())
    yield from (json.dumps(secret)[1:-1].encode(), repr(secret)[1:-1].encode(), octets.hex().encode())
    yield from (secret.encode("utf-16-le"), json.dumps(secret)[1:-1].replace("/", "\\/").encode())
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + octets)[4:-4]
        yield from (whole, whole.translate(bytes.maketrans(b"+/", b"-_")))


def artefacts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file that a run has left, and what Parquet files hold, which are compressed."""
    for file in (path for path in folder.rglob("*") if path.is_file()):
        yield file.name, file.read_bytes()
        if file.suffix == ".parquet":
            yield f"rows of {file.name}", pl.read_parquet(file).write_ndjson().encode()


def leaks(folder: Path, *told: str) -> list[str]:
    everything = [
        *artefacts(folder),
        *((f"output {number}", text.encode()) for number, text in enumerate(told)),
    ]
    return [
        f"{name}: {form!r}"
        for name, content in everything
        for secret in (KEY, PASSWORD, HOOK)
        for form in forms(secret)
        if form in content
    ]


def write_echoing_job(folder: Path, receiver: Receiver, transport: str, **fields: Any) -> Path:
    """One record for each way to fail, each on a provider of its own, as keys that are refused take it out."""
    (folder / "job").mkdir()
    names = {name: f"a{number:02}" for number, name in enumerate(NAMES)}
    common = {"api_key": "${SENTINEL}", "transport": transport, "headers": {"x-extra": "${SENTINEL}"}}
    providers = {
        short: {
            "base_url": f"{receiver.url}/v1",
            **common,
            **{key: value.format(port=receiver.port) for key, value in ELSEWHERE.get(name, {}).items()},
        }
        for name, short in names.items()
    }
    models = {
        short: {"provider": short, "model": name, "timeout": "1s", "price": {"input": 1, "output": 2}}
        for name, short in names.items()
    }
    routes = {short: {"when": {"task": name}, "models": [short]} for name, short in names.items()}
    job = write_job(
        folder / "job",
        output={"path": "../out/data", "metrics": "../out/job.prom"},
        classify=[{"column": "task"}],
        providers=providers,
        models=models,
        routes={**routes, "default": {"models": ["a00"]}},
        baseline=None,
        notify={"webhook": "${HOOK}", "ping": "${PING}", "events": ["start", "failure"]},
        **fields,
    )
    write_records(
        folder / "job/in.jsonl",
        [{"id": f"r{number}", "text": "hello", "task": name} for number, name in enumerate(NAMES)],
    )
    return job


@pytest.mark.parametrize("transport", ["wire", "sdk"])
def test_no_artefact_holds_a_key_whatever_became_of_it(tmp_path: Path, transport: str) -> None:
    (tmp_path / "out").mkdir()
    with receiving(misbehaving) as receiver:
        job = write_echoing_job(tmp_path, receiver, transport)
        environment = {
            "SENTINEL": KEY, "HOOK": f"{receiver.url}/hook/{HOOK}", "PING": f"{receiver.url}/ping/{HOOK}",
        }  # fmt: skip
        arguments = ("run", job, "--json", "--log-format", "json", "--max-wait", "3s")
        ran = batchroute_anew(*arguments, timeout_s=60, **environment)
        bodies = b"\n".join(one.body for one in receiver.received if one.path.startswith(("/hook", "/ping")))
        asked = {one.model for one in receiver.received if one.path.startswith("/v1/")}

    assert ran.returncode in {3, 4}, ran.stderr
    assert asked == set(ECHOES)  # all of them happened
    ledger = pl.read_parquet(tmp_path / "out/data/ledger/part-*.parquet")
    assert set(ledger["request_model"]) == set(NAMES)
    seen = dict(artefacts(tmp_path / "out"))
    assert {"manifest.json", "state.db", "routes.parquet", "job.prom"} <= seen.keys()
    assert any(CANARY.encode() in content for content in seen.values())  # and the search would have seen it
    assert "notify.webhook was not told of failure: HTTP 500" in ran.stderr
    assert b'"event":"failure"' in bodies
    assert leaks(tmp_path / "out", ran.stdout, ran.stderr, bodies.decode()) == []


def test_a_killed_run_and_its_stacks_hold_no_key(tmp_path: Path) -> None:
    with receiving(always(HANG)) as receiver:
        job = write_job(
            tmp_path,
            count=3,
            providers={"p": {"base_url": f"{receiver.url}/v1", "api_key": "${SENTINEL}"}},
            models={"m": {"provider": "p", "timeout": "60s"}},
            routes={"default": {"models": ["m"]}},
            baseline=None,
        )
        process = started("run", job, SENTINEL=KEY)
        assert process.stderr is not None
        assert receiver.arrived.wait(30)
        process.send_signal(signal.SIGUSR1)
        told = process.stderr.readline()
        while "thread MainThread" not in told:
            told += process.stderr.readline()
        process.kill()
        told += process.communicate()[1]

    assert "engine/journey.py" in told
    assert any(
        b"r0" in content for name, content in artefacts(tmp_path / "out") if name.startswith("state.db")
    )
    assert leaks(tmp_path / "out", told) == []


REFUSED = {
    "a broken line": "providers: {p: {base_url: 'http://127.0.0.1:1/v1', api_key: '{key}}}\n",
    "a wrong type": "providers: {p: {base_url: 'http://127.0.0.1:1/v1', api_key: ['{key}']}}\n",
    "an unknown word": "providers: {p: {base_url: 'http://127.0.0.1:1/v1', api_kay: x, api_key: '{key}'}}\n",
    "a blank in it": "providers: {p: {base_url: 'http://127.0.0.1:1/v1', api_key: '{key} {key}'}}\n",
    "in a header, with a line break": 'providers: {p: {base_url: "http://127.0.0.1:1/v1", headers: {x: "a\\n{key}"}}}\n',
    "in the URL": "providers: {p: {base_url: 'http://{key}@127.0.0.1:1/v1'}}\n",
    "in the query": "providers: {p: {base_url: 'http://127.0.0.1:1/v1?key={key}'}}\n",
    "in a proxy": "providers: {p: {base_url: 'http://127.0.0.1:1/v1', proxy: 'ftp://u:{key}@h'}}\n",
    "in a webhook": "notify: {webhook: 'ftp://{key}'}\n",
    "in a ping": "notify: {ping: ['{key}']}\n",
    "in a file of two lines": "providers: {p: {base_url: 'http://127.0.0.1:1/v1', api_key_file: two.key}}\n",
    "in two places": "providers: {p: {base_url: 'http://127.0.0.1:1/v1', api_key_file: one.key, api_key: '{key}'}}\n",
}
SOUND = """job: test
input: {path: in.jsonl, id: id}
output: {path: out}
prompt: {user: "{{ text }}"}
models: {m: {provider: p, price: {input: 1, output: 1}}}
routes: {default: {models: [m]}}
"""


@pytest.fixture
def own_process_as_it_was() -> Iterator[None]:
    """The command, run in this process, changes what is the process's."""
    numbers = (signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM)
    umask, before = os.umask(0o077), [signal.getsignal(number) for number in numbers]
    yield
    os.umask(umask)
    for number, meant in zip(numbers, before, strict=True):
        signal.signal(number, meant)


@pytest.mark.usefixtures("own_process_as_it_was")
@pytest.mark.parametrize("place", REFUSED)
def test_a_job_file_is_refused_without_repeating_the_key(tmp_path: Path, place: str) -> None:
    first = REFUSED[place].replace("{key}", PASSWORD)
    known = "" if "providers:" in first else "providers: {p: {base_url: 'http://127.0.0.1:1/v1'}}\n"
    (tmp_path / "job.yaml").write_text(first + known + SOUND)
    (tmp_path / "two.key").write_text(f"{PASSWORD}\n{PASSWORD}\n")
    (tmp_path / "one.key").write_text(f"{PASSWORD}\n")
    for name in ("run", "check"):
        ran = CliRunner().invoke(command, [name, str(tmp_path / "job.yaml")])
        assert ran.exit_code == 2, ran.output
        assert "job.yaml" in ran.output
        assert leaks(tmp_path / "out", ran.output) == []


@pytest.mark.usefixtures("own_process_as_it_was")
def test_a_key_on_the_command_line_is_refused_without_repeating_it(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(
        "providers: {p: {base_url: 'http://127.0.0.1:1/v1', api_key: x}}\n" + SOUND
    )
    for key in ("providers.p.api_key", "notify.webhook"):
        value = PASSWORD if key.startswith("providers") else f"https://hooks.example/{PASSWORD}"
        ran = CliRunner().invoke(command, ["run", str(tmp_path / "job.yaml"), "--set", f"{key}={value}"])
        assert ran.exit_code == 2
        assert "shows" in ran.output
        assert leaks(tmp_path / "out", ran.output) == []


@pytest.mark.parametrize("log_format", [None, "json"])
def test_a_traceback_of_a_bug_holds_no_key(
    tmp_path: Path,
    log_format: str | None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SENTINEL", KEY)
    (tmp_path / "job.yaml").write_text(
        'providers: {p: {base_url: "http://127.0.0.1:1/v1", api_key: "${SENTINEL}"}}\n' + SOUND
    )
    told = Told(log_format, "test")
    told.load(tmp_path / "job.yaml", ())
    bug = RuntimeError(f"bug with {KEY} and {{'authorization': 'Bearer {KEY}'}}")

    assert told.failed(bug) == 1
    said = capsys.readouterr().err
    assert "RuntimeError: bug with [redacted] and" in said
    assert leaks(tmp_path / "out", said) == []
    if log_format == "json":
        assert json.loads(said)["level"] == "error"


def test_a_traceback_of_a_bug_holds_no_short_key_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "job.yaml").write_text(
        'providers: {p: {base_url: "http://127.0.0.1:1/v1", api_key: "team-pass", headers: {x-team: research}}}\n'
        + SOUND
    )
    told = Told(None, "test")
    told.load(tmp_path / "job.yaml", ())

    told.failed(RuntimeError("bug with team-pass of research"))
    assert "RuntimeError: bug with [redacted] of research" in capsys.readouterr().err


AMBIENT = {
    "OPENAI_API_KEY": "ambient-key", "OPENAI_ORG_ID": "ambient-organisation", "OPENAI_PROJECT_ID": "ambient-project",
    "OPENAI_BASE_URL": "http://127.0.0.1:1/ambient", "OPENAI_CUSTOM_HEADERS": "x-ambient: ambient-header",
    "OPENAI_ADMIN_KEY": "ambient-admin", "OPENAI_WEBHOOK_SECRET": "ambient-webhook",
    "HTTP_PROXY": "http://ambient:secret@127.0.0.1:1", "http_proxy": "http://ambient:secret@127.0.0.1:1",
    "ALL_PROXY": "http://ambient:secret@127.0.0.1:1", "NO_PROXY": "",
}  # fmt: skip


@pytest.mark.parametrize("transport", ["wire", "sdk"])
def test_what_is_a_providers_own_reaches_its_url_alone(tmp_path: Path, transport: str) -> None:
    away = Reply(307, b"", {"location": "/elsewhere"})
    with (
        receiving(lambda received: away if "away" in received.path else completion()) as one,
        receiving(always(completion())) as other,
        receiving(always(Reply())) as hook,
    ):
        urls = {"one": one, "other": other, "bare": other, "away": one}
        providers: dict[str, dict[str, Any]] = {
            name: {"base_url": f"{urls[name].url}/{name}/v1", "transport": transport} for name in urls
        }
        for name in ("one", "other", "away"):
            mine = {"openai-organization": f"organisation-of-{name}", "x-mine": f"extra-of-{name}"}
            providers[name] |= {
                "api_key": f"key-of-{name}",
                "headers": {"OpenAI-Project": f"project-of-{name}", **mine},
            }
        routes = {f"a{name}": {"when": {"task": name}, "models": [name]} for name in urls}
        job = write_job(
            tmp_path,
            classify=[{"column": "task"}],
            providers=providers,
            models={name: {"provider": name, "price": {"input": 1, "output": 1}} for name in urls},
            routes={**routes, "default": {"models": ["one"]}},
            baseline=None,
            notify={"webhook": f"{hook.url}/hook"},
        )
        tasks = [{"id": f"r{number}", "text": "hello", "task": name} for number, name in enumerate(urls)]
        write_records(tmp_path / "in.jsonl", tasks)
        ran = batchroute_anew("run", job, "--quiet", timeout_s=60, **AMBIENT)

    assert ran.returncode == 5, ran.stderr  # a redirect leaves the model out
    assert not any("elsewhere" in one.path for receiver in (one, other, hook) for one in receiver.received)
    assert len(hook.received) == 1
    for receiver in (one, other, hook):
        for received in receiver.received:
            told = json.dumps(received.headers)
            owner = received.path.split("/")[1]
            assert "ambient" not in told
            assert {name for name in urls if f"-of-{name}" in told} == {owner} - {"bare", "hook"}
            assert ("authorization" in received.headers) is (owner not in {"bare", "hook"})


def modes(folder: Path) -> dict[str, set[int]]:
    """The modes of the files and of the folders below one."""
    found: dict[str, set[int]] = {"files": set(), "folders": {folder.stat().st_mode & 0o777}}
    for path in folder.rglob("*"):
        found["folders" if path.is_dir() else "files"].add(path.stat().st_mode & 0o777)
    return found


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_files_are_their_owners_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    job = write_job(tmp_path, count=3000, latency="20ms", output={"path": "out/data"})
    before = os.umask(umask)
    try:
        process = started("run", job, "--quiet")
    finally:
        os.umask(before)
    wal = tmp_path / "out/data/state.db-wal"
    while not (wal.exists() and wal.stat().st_size > 100_000):
        assert process.poll() is None, process.communicate()
    meanwhile = modes(tmp_path / "out/data")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)

    assert process.returncode == 143
    assert meanwhile == {"files": {0o600}, "folders": {0o700}}
    assert modes(tmp_path / "out/data") == {"files": {0o600}, "folders": {0o700}}
