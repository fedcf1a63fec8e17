"""The metrics of a run, as Prometheus' own parser reads them."""

import logging
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from batchroute.core.errors import OutputError
from batchroute.engine.clock import Clock
from batchroute.engine.gauges import Gauge, Gauges, exposition
from tests.builders import records, write_records
from tests.cli.test_display import pool, progress
from tests.engine.runs import run_virtually
from tests.fakes import EPOCH, answer


def read(path: Path) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Values by name and labels, without that of the job."""
    families = text_string_to_metric_families(path.read_text())
    return {
        (
            found.name.removeprefix("batchroute_run_"),
            frozenset(found.labels.items() - {("job", "test")}),
        ): found.value
        for family in families
        for found in family.samples
    }


NO_LABELS: frozenset[tuple[str, str]] = frozenset()


def status(word: str) -> frozenset[tuple[str, str]]:
    return frozenset({("status", word)})


def test_a_run_leaves_its_numbers(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(7))
    run_virtually(
        tmp_path,
        scripts={"a": lambda _: (0.1, answer())},
        output={"path": str(tmp_path / "out"), "metrics": str(tmp_path / "a.prom")},
    )
    found = read(tmp_path / "a.prom")
    assert found["records", status("succeeded")] == 7
    assert found["input_records", NO_LABELS] == 7
    assert found["exit_code", NO_LABELS] == found["running", NO_LABELS] == 0
    assert found["cost_usd", NO_LABELS] == pytest.approx(7 * 20e-6)
    assert EPOCH <= found["start_timestamp_seconds", NO_LABELS] < found["end_timestamp_seconds", NO_LABELS]
    assert found["model_attempts", frozenset({("model", "a")})] == 7
    assert (tmp_path / "a.prom").stat().st_mode & 0o777 == 0o644


def test_a_run_that_goes_on_has_no_end(tmp_path: Path) -> None:
    gauges = Gauges(tmp_path / "a.prom", "test", Clock(wall=lambda: EPOCH, now=lambda: 5.0))
    gauges.watch(progress(pools=(pool(model='b"\\\n', state="open"),)))
    found = read(tmp_path / "a.prom")
    assert found["running", NO_LABELS] == 1
    assert ("exit_code", NO_LABELS) not in found
    assert found["model_up", frozenset({("model", 'b"\\\n')})] == 0


def test_a_file_is_written_four_times_a_minute_and_at_the_end(tmp_path: Path) -> None:
    now = [0.0]
    gauges = Gauges(tmp_path / "a.prom", "test", Clock(wall=lambda: EPOCH, now=lambda: now[0]))
    written = []
    for second in range(31):
        now[0] = float(second)
        gauges.watch(progress(succeeded=second))
        written.append(read(tmp_path / "a.prom")["records", status("succeeded")])
    assert written == [0] * 15 + [15] * 15 + [30]
    gauges.close(3)
    assert read(tmp_path / "a.prom")["exit_code", NO_LABELS] == 3


def test_a_run_that_breaks_leaves_its_exit_code(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(1))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/manifest.json").write_text("{")
    with pytest.raises(OutputError):
        run_virtually(
            tmp_path,
            scripts={},
            output={"path": str(tmp_path / "out"), "metrics": str(tmp_path / "a.prom")},
        )
    assert read(tmp_path / "a.prom")["exit_code", NO_LABELS] == 74


def test_metrics_that_cannot_be_written_are_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gauges = Gauges(tmp_path / "gone/a.prom", "test", Clock())
    with caplog.at_level(logging.WARNING, logger="batchroute"):
        gauges.close(0)
        gauges.close(0)
    (record,) = caplog.records
    assert "cannot be written: No such file or directory" in record.getMessage()


def test_a_reader_sees_the_whole_file_or_the_one_before(tmp_path: Path) -> None:
    (tmp_path / ".a.prom.tmp").write_text("half of one that was cut o")
    gauges = Gauges(tmp_path / "a.prom", "test", Clock())
    gauges.close(0)
    before = (tmp_path / "a.prom").open()
    gauges.close(4)
    assert "exit_code" in before.read()  # still whole, though it is replaced
    before.close()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.prom"]


def test_each_metric_is_explained() -> None:
    text = exposition("test", [Gauge("x", "What it says.", [({"k": "v"}, 1)])])
    assert text == (
        '# HELP batchroute_x What it says.\n# TYPE batchroute_x gauge\nbatchroute_x{job="test",k="v"} 1.0\n'
    )
