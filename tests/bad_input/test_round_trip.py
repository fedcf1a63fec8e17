"""What stands in a record reaches the prompt and the results unchanged, whatever it is."""

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.records import Record
from batchroute.core.requests import Request
from batchroute.io.sources.source import open_source
from batchroute.io.tables import carried_text, kept_types, results_frame
from batchroute.job.jobs import Prompt
from batchroute.routing.prompts import Prompts
from tests import builders
from tests.bad_input.corpus import told_by, write_job

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=16,
)
AS_JSON = Prompts(Prompt(user="{{ value | tojson }}"))
AS_TEXT = Prompts(Prompt(user="<{{ text }}>"))
MANY = 100_000


async def read(path: Path) -> list[Record]:
    source = open_source(str(path), id_column=None, columns=None)
    return [record async for batch in source.batches() for record in batch.records]


def asked(prompts: Prompts, record: Record) -> str:
    request = prompts.render(record)
    assert isinstance(request, Request), request
    (message,) = json.loads(request.messages)
    content: str = message["content"]
    return content


def kept(values: list[Any], folder: Path) -> list[str | None]:
    """A column as it is written to a part and read again."""
    results = [builders.result(kept={"value": carried_text(value)}) for value in values]
    results_frame(results, kept_types(["value"], None)).write_parquet(folder / "part.parquet")
    return pl.read_parquet(folder / "part.parquet")["value"].to_list()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("round-trip")


@given(values=st.lists(VALUES, min_size=1, max_size=5), ascii_only=st.booleans(), spaced=st.booleans())
async def test_any_value_of_json_is_the_same_in_prompt_and_results(
    folder: Path, values: list[Any], ascii_only: bool, spaced: bool
) -> None:
    separators = (" , ", " : ") if spaced else (",", ":")
    lines = [json.dumps({"value": value}, ensure_ascii=ascii_only, separators=separators) for value in values]
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8", newline="")

    records = await read(folder / "in.jsonl")

    assert [repr(json.loads(asked(AS_JSON, record))) for record in records] == list(map(repr, values))
    again = kept([record.fields["value"] for record in records], folder)
    for value, text in zip(values, again, strict=True):
        if isinstance(value, str) or value is None:
            assert text == value
        else:
            assert text is not None
            assert repr(json.loads(text)) == repr(value)


async def test_a_hundred_thousand_texts_come_out_as_they_went_in(folder: Path) -> None:
    chance = random.Random(7)
    blocks = [(0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]

    def text() -> str:
        return "".join(chr(chance.randint(*chance.choice(blocks))) for _ in range(chance.randint(0, 12)))

    texts = [text() for _ in range(MANY)]
    with (folder / "many.jsonl").open("w", encoding="utf-8", newline="") as file:
        file.writelines(
            json.dumps({"text": each}, ensure_ascii=bool(at % 2)) + "\n" for at, each in enumerate(texts)
        )

    records = await read(folder / "many.jsonl")

    assert [asked(AS_TEXT, record) for record in records] == [f"<{each}>" for each in texts]
    assert kept([record.fields["text"] for record in records], folder) == texts


def test_parquet_values_are_the_same_in_the_results(tmp_path: Path, base_url: str) -> None:
    chance = random.Random(3)
    texts = ["".join(map(chr, chance.choices(range(1, 0xD800), k=9))) for _ in range(200)]
    numbers = [chance.randint(-(2**63), 2**63 - 1) for _ in texts]
    frame = pl.DataFrame({"id": [str(at) for at in range(200)], "text": texts, "number": numbers})
    frame.write_parquet(tmp_path / "in.parquet")
    job = write_job(
        tmp_path,
        base_url,
        input={"path": "in.parquet", "id": "id"},
        output={"path": "out", "keep": ["text", "number"]},
    )
    assert told_by("run", job, "--json").exit_code == 0
    results = pl.read_parquet(tmp_path / "out/results/part-*.parquet").sort(pl.col("record_id").cast(int))
    assert results.select("text", "number").equals(frame.select("text", "number"))
