"""Records that ask the same: sent once, answered all."""

from pathlib import Path

from tests.builders import write_records
from tests.engine.runs import run_virtually
from tests.fakes import always, answer

EQUAL = [{"id": f"r{number}", "text": "the same"} for number in range(20)]


def test_equal_records_are_sent_once_and_all_are_answered(tmp_path: Path) -> None:
    """One attempt is paid for; every record has its row with the one answer."""
    write_records(tmp_path / "in.jsonl", EQUAL)

    ran = run_virtually(tmp_path, scripts={"a": always(answer("once"))})

    assert len(ran.provider.log) == 1
    assert ran.results["response"].to_list() == ["once"] * 20
    assert ran.results["record_id"].n_unique() == 20
    assert sorted(ran.results["attempts"]) == [0] * 19 + [1]
    assert ran.results["cost_usd"].sum() == ran.ledger["cost_usd"].sum()
    assert ran.ended.repeated == 19
    assert ran.ended.succeeded == 20


def test_dedupe_false_sends_every_record(tmp_path: Path) -> None:
    """Whoever draws many answers to one prompt gets them."""
    write_records(tmp_path / "in.jsonl", EQUAL)

    ran = run_virtually(tmp_path, dedupe=False, scripts={"a": always(answer())})

    assert len(ran.provider.log) == 20
    assert ran.ended.repeated == 0
