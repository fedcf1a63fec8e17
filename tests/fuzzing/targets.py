"""What is fuzzed: functions of bytes that raise AssertionError, or what nobody expects, for bytes that show a fault."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from batchroute.core.errors import JobError
from batchroute.core.excerpts import LONGEST, excerpt
from batchroute.core.records import Fault, Record
from batchroute.core.responses import ErrorType, Failure, Response
from batchroute.io.sources import decoding
from batchroute.io.sources.decoding import decode_lines
from batchroute.io.sources.lines import Dropped, Line, Splitter
from batchroute.job.loading import load_job
from batchroute.job.starter import STARTER
from batchroute.providers.answers import judge
from batchroute.providers.transports import Reply
from batchroute.routing.prompts import Prompts
from tests.providers.builders import REQUEST

Target = Callable[[bytes], None]
_LIMIT: Final = 64
_ENVIRON: Final = {"KEY": "sentinel-of-a-key"}
_RECORD: Final = Record(record_id="r", file="in.jsonl", line=1, fields={"text": "t", "n": {"a": [1, None]}})


def lines(octets: bytes) -> None:
    """Blocks to lines to records: where blocks end changes nothing, and both decoders give the same verdict."""
    size, text = octets[:1], octets[1:]
    step = 1 + (size[0] if size else 0)
    found = _split([text[at : at + step] for at in range(0, len(text), step)])
    assert found == _split([text])
    assert sum(len(line) + 1 for line in found) in {len(text), len(text) + 1}
    for line, value in zip(found, decode_lines(found).values, strict=True):
        if isinstance(line, Dropped):
            assert value is line.fault
        elif value is None:
            assert not line.removeprefix(decoding.BOM).strip()
        else:
            assert repr(value) == repr(decoding._read_carefully(line))
            _check_value(value)
    assert len(excerpt(text, len(text) // 2)) <= LONGEST


def _split(pieces: list[bytes]) -> list[Line]:
    """Without the excerpts of what was dropped, which show the block that was at hand."""
    splitter = Splitter(_LIMIT)
    found = [line for piece in pieces for line in splitter.feed(piece)] + list(splitter.end())
    return [
        Dropped(Fault(line.fault.error_type, ""), len(line)) if isinstance(line, Dropped) else line
        for line in found
    ]


def _check_value(value: object) -> None:
    """What was accepted can be sent: it encodes and comes back."""
    if isinstance(value, Fault):
        assert value.message.isprintable()
        return
    assert isinstance(value, dict)
    encoded = msgspec.json.encode({name: each for name, each in value.items() if not _is_huge(each)})
    assert isinstance(msgspec.json.decode(encoded), dict)


def _is_huge(value: object) -> bool:
    """An integer beyond 64 bits, which only Python's own encoder writes, or what may hold one."""
    return isinstance(value, dict | list) or (isinstance(value, int) and not -(2**63) <= value < 2**64)


def job(octets: bytes) -> None:
    """A job file, and the templates in it: a job, or a refusal that names a place and shows no key."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        path = Path(folder, "job.yaml")
        path.write_bytes(octets)
        try:
            loaded = load_job(path, environ=_ENVIRON)
            rendered = Prompts(loaded.prompt, loaded.place).render(_RECORD)
        except JobError as error:
            told = str(error)
            assert told.startswith(str(path)) or "prompt." in told, told
            assert all(line.isprintable() for line in told.splitlines()), told
            assert _ENVIRON["KEY"] not in told
            return
    assert not isinstance(rendered, Fault) or rendered.error_type


def response(octets: bytes) -> None:
    """The body of a 200: a response whose text can be stored, or a failure of a known kind."""
    outcome = judge(Reply(200, octets, lambda _: None), REQUEST, "m")
    if isinstance(outcome, Response):
        outcome.content.encode()
        assert outcome.usage is None or outcome.usage.input_tokens >= 0
    else:
        assert isinstance(outcome, Failure)
        assert isinstance(outcome.error_type, ErrorType)
        outcome.message.encode()


TARGETS: Final[Mapping[str, Target]] = {"lines": lines, "job": job, "response": response}

_ANSWER: Final = (
    b'{"id":"a","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"yes"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}'
)
SEEDS: Final[Mapping[str, tuple[bytes, ...]]] = {
    "lines": (
        b'\x05{"id":"a","text":"t"}\n{"a":1,"a":2}\n',
        b'\x01\xef\xbb\xbf{"a":[{"b":"\\ud83d\\ude00"}]}\r\n\n{"a" : -1.5e3}',
        b"\xff" + b"\0" * 200 + b"\n[1]\nnull\n",
        b'\x03{"' + b"x" * 100 + b'":1}\n{"a":"\xff"}{}',
    ),
    "job": (
        STARTER.encode(),
        b"job: &a [*a]\n<<: {a: !!python/name:os.system x}\n",
        b'prompt: {user: "{{ text.__class__ }}"}\n',
    ),
    "response": (
        _ANSWER,
        _ANSWER.replace(b'"yes"', b'null,"refusal":"no"'),
        b'{"error":{"message":"slow down","code":"rate_limit_exceeded"}}',
        b"<html>busy</html>",
        b"",
    ),
}
