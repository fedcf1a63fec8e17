"""Answers that must have a form: asked for, held against it, sent back, passed on, and values in the results."""

import asyncio
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from batchroute.core.errors import JobError
from batchroute.core.responses import ErrorType, Outcome
from batchroute.engine.forms import parsed_type
from batchroute.engine.pipeline import Options
from batchroute.engine.verifications import Routes, verify
from batchroute.io.store import Store
from batchroute.job.loading import load_job
from batchroute.report.scans import scan_results
from batchroute.routing.forms import Formed, LabelForm
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, Sent, answer, failure

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "total": {"type": "number"},
        "count": {"type": "integer"},
        "paid": {"type": "boolean"},
        "size": {"enum": ["small", "large", None]},
        "note": {"type": ["string", "null"]},
        "lines": {
            "type": "array",
            "items": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]},
        },
    },
    "required": ["name", "total"],
}
GOOD = {
    "name": "Ana",
    "total": 12,
    "count": 3,
    "paid": True,
    "size": "large",
    "note": None,
    "lines": [{"sku": "x-1"}],
}
STRICT_MODELS = {"a": model("a", json_schema=True), "b": model("b", json_schema=False)}
FORM = {"schema": ORDER}


def text(value: Any) -> Outcome:
    return answer(json.dumps(value))


def says(*outcomes: Outcome) -> Script:
    """These outcomes one after the other, the last one ever after."""
    return lambda sent: (0.1, outcomes[min(sent.number, len(outcomes)) - 1])


def ran(folder: Path, count: int = 1, **fields: Any) -> Ran:
    write_records(folder / "in.jsonl", records(count))
    return run_virtually(folder, **{"models": STRICT_MODELS, "response": FORM, **fields})


def body(sent: Sent) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(sent.request.body(sent.model))
    return found


def test_an_answer_that_fits_is_a_struct_beside_its_text(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"a": says(text(GOOD))})

    row = done.results.row(0, named=True)
    assert row["status"] == "succeeded"
    assert json.loads(row["response"]) == GOOD
    assert row["parsed"] == GOOD
    assert done.results.schema["parsed"] == pl.Struct(
        {
            "name": pl.String,
            "total": pl.Float64,
            "count": pl.Int64,
            "paid": pl.Boolean,
            "size": pl.Enum(["small", "large"]),
            "note": pl.String,
            "lines": pl.List(pl.Struct({"sku": pl.String})),
        }
    )


def test_a_model_with_json_schema_is_sent_a_strict_copy(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"a": says(text(GOOD))})

    sent = body(done.provider.log[0])
    asked = sent["response_format"]["json_schema"]
    assert asked["strict"] is True
    assert asked["schema"]["additionalProperties"] is False
    assert asked["schema"]["required"] == list(ORDER["properties"])
    assert [message["role"] for message in sent["messages"]] == ["user"]


def test_a_model_without_it_is_told_the_schema_in_words(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"b": says(text(GOOD))}, routes={"default": {"models": ["b"]}})

    sent = body(done.provider.log[0])
    assert "response_format" not in sent
    system, user = sent["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert json.loads(system["content"].partition("JSON Schema: ")[2]) == ORDER
    assert done.results["parsed"].struct.field("name").to_list() == ["Ana"]


def test_an_answer_that_does_not_fit_is_sent_back_once(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"a": says(text({"name": "Ana", "total": "much"}), text(GOOD))})

    first, second = (body(sent) for sent in done.provider.log)
    assert second["messages"][: len(first["messages"])] == first["messages"]
    said, asked = second["messages"][-2:]
    assert said == {"role": "assistant", "content": '{"name": "Ana", "total": "much"}'}
    assert "total" in asked["content"]
    assert second["response_format"] == first["response_format"]
    assert done.ledger.sort("attempt").select("verdict", "error_type", "purpose", "flag").rows() == [
        ("retry", "schema_mismatch", "answer", None),
        ("accept", None, "answer", "repaired"),
    ]
    assert done.results["flag"].to_list() == ["repaired"]


def test_the_next_model_is_asked_anew_when_the_repair_fails(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"a": says(answer("I would rather not.")), "b": says(text(GOOD))})

    assert [sent.model for sent in done.provider.log] == ["a", "a", "b"]
    assert [message["role"] for message in body(done.provider.log[2])["messages"]] == ["system", "user"]
    assert done.ledger.sort("attempt")["verdict"].to_list() == ["retry", "escalate", "accept"]
    row = done.results.row(0, named=True)
    assert (row["model"], row["escalations"], row["failovers"], row["attempts"]) == ("b", 1, 0, 3)


def test_without_a_next_model_the_record_is_a_dead_letter(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts=dict.fromkeys("ab", says(text({"name": "Ana"}))))

    row = done.results.row(0, named=True)
    assert (row["status"], row["error_type"], row["attempts"]) == ("failed", "schema_mismatch", 4)
    assert '"total" is a required property' in row["error_message"]
    assert '{"name": "Ana"}' in row["error_message"]
    assert row["parsed"] is None
    assert done.ledger["cost_usd"].null_count() == 0


def test_wrong_forms_are_not_held_against_a_model(tmp_path: Path) -> None:
    done = ran(tmp_path, 300, scripts={"a": says(answer("no")), "b": says(text(GOOD))})

    assert done.results["model"].unique().to_list() == ["b"]
    assert done.ledger["model_state"].unique().to_list() == ["closed"]
    assert len(done.provider.sent_to("a")) == 600  # each is sent back, whatever the model's budget of retries


def test_a_repair_is_left_to_an_answer_that_came_after_other_failures(tmp_path: Path) -> None:
    lost = failure(ErrorType.CONNECTION_LOST)
    done = ran(tmp_path, scripts={"a": says(lost, text({}), text(GOOD))})

    assert [sent.model for sent in done.provider.log] == ["a", "a", "a"]
    assert done.results["flag"].to_list() == ["repaired"]


@pytest.mark.parametrize(
    "said",
    [
        "```json\n{}\n```",
        "Here you are:\n{}\nAnything else?",
        "  {}\n",
    ],
)
def test_what_stands_around_the_json_is_no_matter(tmp_path: Path, said: str) -> None:
    content = said.replace("{}", json.dumps(GOOD))
    done = ran(tmp_path, scripts={"a": says(answer(content))})

    assert done.results["parsed"].to_list() == [GOOD]
    assert done.results["response"].to_list() == [content]


def test_a_null_that_strict_mode_asks_for_is_as_good_as_missing(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"a": says(text({**GOOD, "count": None, "lines": None}))})

    assert done.results["status"].to_list() == ["succeeded"]
    assert done.results["parsed"].struct.field("count").to_list() == [None]


def test_an_answer_that_was_cut_off_gets_more_room(tmp_path: Path) -> None:
    cut = msgspec.structs.replace(answer('{"name": "A'), finish_reason="length")
    done = ran(tmp_path, scripts={"a": says(cut, text(GOOD))})

    assert [body(sent)["max_tokens"] for sent in done.provider.log] == [16, 32]
    assert done.ledger.sort("attempt")["error_type"].to_list() == ["output_truncated", None]


def test_the_column_has_its_type_also_when_nothing_was_answered(tmp_path: Path) -> None:
    done = ran(tmp_path, 3, scripts=dict.fromkeys("ab", says(answer("no"))))

    assert done.results["parsed"].null_count() == 3
    assert isinstance(done.results.schema["parsed"], pl.Struct)


LABELS = {"labels": ["Positive", "very negative", "neutral", "N.A."]}


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("Positive", "Positive"),
        ("  positive\n", "Positive"),
        ('"VERY  negative."', "very negative"),
        ("**neutral**", "neutral"),
        ("'N.A.'", "N.A."),
    ],
)
def test_a_label_is_found_whatever_its_case_and_blanks(tmp_path: Path, said: str, label: str) -> None:
    done = ran(tmp_path, scripts={"a": says(answer(said))}, response=LABELS)

    assert done.results["parsed"].to_list() == [label]
    assert done.results.schema["parsed"] == pl.Enum(LABELS["labels"])


@pytest.mark.parametrize(
    ("labels", "said", "meant"),
    [
        (["A*", "A", "B"], '"A*"', "A*"),
        (["A*", "A", "B"], "**A**", None),
        (["A*", "A", "B"], "**B**.", "B"),
        (["A", "A*"], "A.", "A"),
        (["*", "**", "***"], '"**"', "**"),
        (["*", "**", "***"], "****", None),
        (["Mr.", "Mr"], "`Mr.`", "Mr."),
        (["etc.", "more"], "etc", "etc."),
    ],
)
def test_a_mark_of_a_label_is_no_decoration(labels: list[str], said: str, meant: str | None) -> None:
    assert Formed(LabelForm(labels), {}).parsed(said) == (meant and json.dumps(meant))


def test_a_prompt_that_does_not_name_the_labels_is_told_them(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"a": says(answer("neutral"))}, response=LABELS)
    told = body(done.provider.log[0])["messages"]
    assert told[0] == {
        "role": "system",
        "content": "Answer with exactly one of these labels and nothing else: Positive, very negative, neutral, N.A.",
    }


def test_a_prompt_that_names_them_stays_as_it_is(tmp_path: Path) -> None:
    prompt = {"system": "Say positive, very negative, neutral or N.A.", "user": "{{ text }}"}
    done = ran(tmp_path, scripts={"a": says(answer("neutral"))}, response=LABELS, prompt=prompt)

    assert [message["content"] for message in body(done.provider.log[0])["messages"]] == [
        prompt["system"],
        "question 0",
    ]


def test_a_label_within_another_word_is_not_named(tmp_path: Path) -> None:
    prompt = {"user": "Is it there? Take notes: {{ text }}"}
    done = ran(
        tmp_path, scripts={"a": says(answer("no"))}, response={"labels": ["no", "text"]}, prompt=prompt
    )
    assert [message["role"] for message in body(done.provider.log[0])["messages"]] == ["system", "user"]


def test_another_word_than_a_label_is_sent_back(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"a": says(answer("mixed"), answer("neutral"))}, response=LABELS)

    assert body(done.provider.log[1])["messages"][-1]["content"].endswith(
        "Positive, very negative, neutral, N.A."
    )
    assert done.results["flag"].to_list() == ["repaired"]


def test_a_route_says_what_its_own_answers_are(tmp_path: Path) -> None:
    write_records(
        tmp_path / "in.jsonl", [*records(1, task="mood"), {"id": "r1", "text": "t", "task": "order"}]
    )
    done = run_virtually(
        tmp_path,
        models=STRICT_MODELS,
        classify=[{"column": "task"}],
        routes={
            "mood": {"when": {"task": "mood"}, "models": ["a"], "response": LABELS},
            "default": {"models": ["b"]},
        },
        response=FORM,
        scripts={"a": says(answer("neutral")), "b": says(text(GOOD))},
    )

    parsed = dict(done.results.select("record_id", "parsed").iter_rows())
    assert done.results.schema["parsed"] == pl.String  # labels and objects have only text in common
    assert parsed["r0"] == "neutral"
    assert json.loads(parsed["r1"]) == GOOD


def test_a_changed_schema_makes_answers_stale_and_refreshed_ones_share_their_type(tmp_path: Path) -> None:
    ran(tmp_path, 2, scripts={"a": says(text(GOOD))})
    later = {"schema": {**ORDER, "properties": {**ORDER["properties"], "total": {"type": "string"}}}}

    seen = ran(tmp_path, 2, scripts={}, response=later)
    assert (seen.ended.stale, seen.provider.log) == (2, [])

    one = Options(refresh_changed=True, limit=1)
    done = ran(
        tmp_path, 2, scripts={"a": says(text({**GOOD, "total": "12 EUR"}))}, response=later, options=one
    )
    totals = done.results.select("record_id", pl.col("parsed").struct.field("total")).sort("record_id")
    assert totals.rows() == [("r0", "12 EUR"), ("r1", "12.0")]


def test_a_job_without_a_response_has_no_such_column(tmp_path: Path) -> None:
    done = ran(tmp_path, scripts={"a": says(answer())}, response=None)
    assert "parsed" not in done.results.columns


def test_a_class_beside_the_job_is_a_schema(tmp_path: Path) -> None:
    source = (
        "from pydantic import BaseModel\nclass Order(BaseModel):\n    name: str\n    tags: list[str] = []\n"
    )
    (tmp_path / "orders.py").write_text(source)
    path = tmp_path / "job.yaml"
    path.write_text(JOB_WITH_CLASS)

    found = parsed_type(load_job(path))

    assert found == {"parsed": pl.Struct({"name": pl.String, "tags": pl.List(pl.String)})}
    (tmp_path / "orders.py").write_text("Order = int\n")
    with pytest.raises(JobError, match=r"orders:Order is no pydantic model.*\[job_response\]"):
        parsed_type(load_job(path))


JOB_WITH_CLASS = """
job: test
input: {path: in.jsonl}
output: {path: out}
prompt: {user: "{{ text }}"}
response: {pydantic: "orders:Order"}
providers: {p: {kind: simulator}}
models: {a: {provider: p, model: sim-small}}
routes: {default: {models: [a]}}
"""


DATED = """
import datetime
from pydantic import BaseModel, field_validator

class Order(BaseModel):
    name: str
    at: datetime.date

    @field_validator("name")
    @classmethod
    def known(cls, name: str) -> str:
        assert name != "Bob", "Bob is no customer"
        if name == "Zoe":
            raise SystemExit(0)
        return {"Ana": name}[name]
"""


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"name": "Ana", "at": "some day"}, "at: Input should be a valid date"),
        ({"name": "Bob", "at": "2026-11-22"}, "name: Assertion failed, Bob is no customer"),
        ({"name": "Eve", "at": "2026-11-22"}, "made Order raise KeyError: 'Eve'"),
        ({"name": "Zoe", "at": "2026-11-22"}, "made Order raise SystemExit: 0"),
    ],
)
def test_a_class_has_its_say_beyond_its_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Any, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.py").write_text(DATED)
    good = {"name": "Ana", "at": "2026-11-22"}
    done = ran(
        tmp_path, scripts={"a": says(text(wrong), text(good))}, response={"pydantic": "orders:Order"}, count=1
    )
    assert done.ledger["verdict"].to_list() == ["retry", "accept"]
    assert why in body(done.provider.log[1])["messages"][-1]["content"]
    assert done.results["flag"].to_list() == ["repaired"]
    assert done.results["parsed"].to_list() == [good]


def test_a_run_that_was_killed_while_an_answer_was_mended_goes_on(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    write_records(tmp_path / "in.jsonl", records(4))

    def script(sent: Sent) -> tuple[float, Outcome]:
        if len(body(sent)["messages"]) == 1:
            return 0.1 * sent.number, text(GOOD if b"question 3" not in sent.request.messages else {})
        shutil.copytree(tmp_path, killed)  # what a kill leaves at this moment
        return 0.1, text(GOOD)

    whole = run_virtually(tmp_path, models=STRICT_MODELS, response=FORM, scripts={"a": script})
    assert whole.results["flag"].to_list().count("repaired") == 1

    with closing(Store(killed / "out")) as store:
        assert [attempt.verdict for _, attempt in store.unfinished()] == [None]
    resumed = run_virtually(killed, models=STRICT_MODELS, response=FORM, scripts={"a": says(text(GOOD))})

    assert len(resumed.provider.log) == 1
    assert len(body(resumed.provider.log[0])["messages"]) == 1
    assert resumed.results["parsed"].to_list() == [GOOD] * 4
    assert resumed.results.filter(record_id="r3")["attempts"].to_list() == [3]
    assert resumed.results.schema == whole.results.schema


def test_parts_are_written_again_from_the_state_alone(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    write_records(tmp_path / "in.jsonl", records(3))

    def script(sent: Sent) -> tuple[float, Outcome]:
        if sent.number == 3:
            shutil.copytree(tmp_path, killed)
        return sent.number * 1.0, text(GOOD)

    one = model("a", json_schema=True, limits={"concurrency": 1})
    run_virtually(
        tmp_path,
        models={"a": one},
        routes={"default": {"models": ["a"]}},
        response=FORM,
        scripts={"a": script},
    )
    with closing(Store(killed / "out")) as store:
        store.begin_export()  # a part was due

    asyncio.run(verify(killed / "out", Routes(agree=lambda _: True, write=lambda _: None), repair=True))

    results = scan_results(killed / "out").collect()
    assert results["parsed"].to_list() == [GOOD, GOOD]
    assert isinstance(results.schema["parsed"], pl.Struct)
