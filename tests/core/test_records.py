import pytest

from batchroute.core.records import Batch, Fault, Offsets, Record, Reject


def record(line: int, **fields: object) -> Record:
    return Record(record_id=f"r{line}", file="in.jsonl", line=line, fields=fields)


def reject(line: int) -> Reject:
    return Reject(file="in.jsonl", line=line, fault=Fault("bad_json", "no JSON object"))


def test_column_has_a_place_for_every_record() -> None:
    batch = Batch(records=[record(1, text="a"), record(2), record(3, text=None, other=1)], rejects=[])

    assert batch.column("text") == ["a", None, None]
    assert batch.column("other") == [None, None, 1]
    assert batch.column("absent") == [None, None, None]


@pytest.mark.parametrize(
    ("count", "records", "rejects"),
    [
        pytest.param(0, [], [], id="none"),
        pytest.param(1, [2], [], id="a record alone"),
        pytest.param(2, [2], [3], id="the reject between records"),
        pytest.param(3, [2, 4], [3], id="in input order"),
        pytest.param(5, [2, 4, 6], [3, 7], id="all"),
        pytest.param(99, [2, 4, 6], [3, 7], id="more than there are"),
    ],
)
def test_first_places_of_a_batch_are_records_and_rejects_alike(
    count: int, records: list[int], rejects: list[int]
) -> None:
    batch = Batch(records=[record(2), record(4), record(6)], rejects=[reject(3), reject(7)])

    first = batch.first(count)

    assert [one.line for one in first.records] == records
    assert [one.line for one in first.rejects] == rejects
    assert len(first) == len(records) + len(rejects)


def test_empty_batch_has_an_empty_beginning() -> None:
    empty = Batch(records=[], rejects=[])

    assert len(empty.first(3)) == 0


def test_a_place_is_told_with_its_byte_where_that_is_known() -> None:
    offsets = Offsets(first_line=5, start=100, lengths=[9, 0, 20])
    batch = Batch(records=[], rejects=[reject(5), reject(7)], offsets=offsets)

    assert [batch.place("in.jsonl", line) for line in (7, 5, 6)] == [
        "in.jsonl:7 (byte 111)",
        "in.jsonl:5 (byte 100)",
        "in.jsonl:6 (byte 110)",
    ]
    assert batch.first(1).place("in.jsonl", 5) == "in.jsonl:5 (byte 100)"
    assert Batch(records=[], rejects=[]).place("in.parquet", 5) == "in.parquet:5"


def test_reject_is_known_by_its_place() -> None:
    assert reject(7).record_id == "in.jsonl:7"


def test_records_are_frozen() -> None:
    with pytest.raises(AttributeError):
        record(1).line = 2  # type: ignore[misc]
