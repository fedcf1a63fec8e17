"""Whom a run tells, keys that stand in files, and what is warned of."""

import os
from pathlib import Path

import pytest

from batchroute.job.schema import job_schema
from tests.job.files import loaded, refused, text

HOOK = "https://hooks.example/services/T0/B0/secret-of-the-hook"


def test_a_webhook_is_told_of_every_end_by_default(tmp_path: Path) -> None:
    notify = loaded(
        tmp_path, 'notify: {webhook: "${KEY}"}\n'.replace("${KEY}", "http://127.0.0.1:1/x")
    ).notify
    assert notify is not None
    assert notify.events == ("finish", "failure", "budget", "failovers")
    assert (notify.format, notify.failover_share, notify.ping) == ("json", 0.2, None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("notify: {}\n", 'notify: has neither webhook nor ping. Write webhook: "${NOTIFY_URL}"'),
        ("notify: {webhook: 'ftp://x'}\n", "notify.webhook: must begin with https:// or http://"),
        ("notify: {ping: ''}\n", "notify.ping: must begin with"),
        (f"notify: {{ping: '{HOOK}', events: [end]}}\n", "notify.events[0]: must be 'start', 'finish'"),
        (f"notify: {{ping: '{HOOK}', events: [start, start]}}\n", "names 'start' twice"),
        (f"notify: {{ping: '{HOOK}', failover_share: 20}}\n", "notify.failover_share: must be at most 1"),
        (f"notify: {{ping: '{HOOK}', url: x}}\n", "notify.url: unknown key"),
    ],
)
def test_what_nobody_could_be_told_by_is_refused_without_the_url(
    tmp_path: Path, line: str, told: str
) -> None:
    said = "\n".join(refused(tmp_path, text(line)))
    assert told in said
    assert "secret-of-the-hook" not in said


def test_a_url_in_the_file_is_warned_of_as_a_key_is(tmp_path: Path) -> None:
    (warning,) = loaded(tmp_path, f"notify: {{webhook: '{HOOK}'}}\n").warnings
    assert warning.startswith("notify.webhook holds a secret as it stands (line 1)")
    assert loaded(tmp_path, "notify: {webhook: 'http://127.0.0.1:1/x'}\n").warnings == ()


def test_a_secret_that_travels_in_the_open_is_warned_of(tmp_path: Path) -> None:
    warnings = loaded(tmp_path, "notify: {ping: 'http://ping.example/x'}\n").warnings
    assert any("notify.ping is plain http" in warning for warning in warnings)


def test_a_url_stays_in_notify_and_a_key_in_its_provider(tmp_path: Path) -> None:
    first = 'notify: {webhook: "http://127.0.0.1/${KEY}"}\njob: "${KEY}"\n'
    assert any("holds a key or another secret of notify" in line for line in refused(tmp_path, text(first)))
    first = (
        'providers: {here: {base_url: "http://127.0.0.1/v1", api_key: "${KEY}"}}\n'
        'notify: {webhook: "http://127.0.0.1/${KEY}"}\n'
    )
    assert any("another secret of a provider" in line for line in refused(tmp_path, text(first)))


# Keys in files


def with_file(folder: Path, content: bytes, mode: int = 0o600) -> str:
    (folder / "a.key").write_bytes(content)
    (folder / "a.key").chmod(mode)
    return "providers: {here: {base_url: http://127.0.0.1:8000/v1, api_key_file: a.key}}\n"


@pytest.mark.parametrize("ending", ["", "\n", "\r\n", "\n\n"])
def test_the_key_is_what_the_file_holds_without_the_end_of_its_line(tmp_path: Path, ending: str) -> None:
    job = loaded(tmp_path, with_file(tmp_path, f"a-key{ending}".encode()))
    key = job.providers["here"].key
    assert key is not None
    assert key.get_secret_value() == "a-key"
    assert job.warnings == ()
    assert "a-key" not in repr(job)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "api_key_file: must not be empty"),
        (b"\n", "api_key_file: must not be empty"),
        (b"one-key\nother-key\n", "api_key_file: holds a blank, a line break"),
        (b"\xff\xfe", "api_key_file: holds a blank, a line break or a letter beyond ASCII"),
        (b"x" * 20_000, "api_key_file: is larger than 16 KiB"),
    ],
)
def test_a_file_that_is_no_key_is_refused_without_repeating_it(
    tmp_path: Path, content: bytes, told: str
) -> None:
    (said,) = refused(tmp_path, text(with_file(tmp_path, content)))
    assert told in said
    assert "other-key" not in said


def test_a_missing_file_and_a_second_key_are_refused(tmp_path: Path) -> None:
    line = with_file(tmp_path, b"a-key\n")
    assert "Keep one of them" in refused(tmp_path, text(line.replace("a.key", "a.key, api_key: x")))[0]
    assert "api_key_file: cannot be read" in refused(tmp_path, text(line.replace("a.key", "b.key")))[0]
    simulated = "providers: {here: {kind: simulator, api_key_file: a.key}}\n"
    assert "which has no api_key_file" in refused(tmp_path, text(simulated))[0]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_warned_of_with_the_remedy(tmp_path: Path, mode: int) -> None:
    (warning,) = loaded(tmp_path, with_file(tmp_path, b"a-key\n", mode)).warnings
    assert warning == (
        f"providers.here.api_key_file is open to other users (mode {mode:04o}). Close it: chmod 600 a.key"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a file away")
@pytest.mark.parametrize(("mode", "count"), [(0o440, 0), (0o640, 0), (0o660, 1), (0o444, 1)])
def test_a_file_that_somebody_else_lends_to_our_group_is_in_order(
    tmp_path: Path, mode: int, count: int
) -> None:
    line = with_file(tmp_path, b"a-key\n", mode)
    os.chown(tmp_path / "a.key", 65534, -1)
    assert len(loaded(tmp_path, line).warnings) == count


def test_a_key_from_a_file_is_warned_of_on_plain_http_too(tmp_path: Path) -> None:
    line = with_file(tmp_path, b"a-key\n").replace("127.0.0.1:8000", "10.0.0.7")
    assert any("is plain http" in warning for warning in loaded(tmp_path, line).warnings)


def test_metrics_go_where_they_are_read(tmp_path: Path) -> None:
    job = loaded(tmp_path, "output: {path: out, metrics: a.prom}\n")
    assert job.output.metrics == tmp_path / "a.prom"
    (said,) = refused(tmp_path, text("output: {path: out, metrics: a.txt}\n"))
    assert "output.metrics: must end in .prom" in said


def test_the_schema_offers_these_keys_as_text() -> None:
    schema = job_schema()["$defs"]
    assert schema["Notify"]["properties"]["webhook"]["type"] == "string"
    assert schema["Provider"]["properties"]["api_key_file"]["type"] == "string"
    assert schema["Output"]["properties"]["metrics"]["type"] == "string"
