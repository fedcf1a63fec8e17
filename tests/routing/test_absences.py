"""Columns that a job names and no record has."""

from batchroute.core.records import Record
from batchroute.routing.absences import Absences, Naming


def record(**fields: object) -> Record:
    return Record("r", "in.jsonl", 1, fields)


NAMED = [
    Naming("input.text", "txt", "Nothing is read"),
    Naming("output.keep", "late", "It is kept as null"),
    Naming("classify[0]", "zzz", "Nothing is learnt"),
]


def test_a_column_that_some_record_has_is_no_matter_be_it_null() -> None:
    absences = Absences(NAMED)
    absences.look_at([record(text="a")])
    absences.look_at([])
    absences.look_at([record(text="b"), record(text="c", late=None)])

    assert absences.warnings() == (
        "no record has txt, the column that input.text names, did you mean text? Nothing is read [column_missing]",
        "no record has zzz, the column that classify[0] names. Nothing is learnt [column_missing]",
    )


def test_of_no_record_nothing_is_said() -> None:
    absences = Absences(NAMED)
    absences.look_at([])

    assert absences.warnings() == ()
