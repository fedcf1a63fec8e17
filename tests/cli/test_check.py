from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.builders import records, write_records
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute
from tests.cli.test_simulate import serving

CLOSED_PORT = "http://127.0.0.1:9/v1"  # discard: nothing listens there


def job_at(folder: Path, base_url: str, **fields: Any) -> Path:
    """A job of two records whose one provider is at this address."""
    model = {"provider": "there", "model": "sim-small", "price": {"input": 1, "output": 2}}
    return write_job(folder, count=2, **{
        "providers": {"there": {"base_url": base_url}},
        "models": {"small": model},
        "routes": {"default": {"models": ["small"]}},
        "baseline": "small",
        **fields,
    })  # fmt: skip


def test_a_job_that_is_right_is_told_so_and_nothing_is_written(tmp_path: Path) -> None:
    job = job_at(tmp_path, CLOSED_PORT)
    before = sorted(tmp_path.iterdir())

    ran = batchroute("check", job)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        f"{job}: the job file is right.",
        f"input: 1 file, {(tmp_path / 'in.jsonl').stat().st_size:,} bytes; looked at 2 records",
        "  route default: 2",
        'first request: {"model":"sim-small","messages":[{"role":"user","content":"question 0"}],"max_tokens":32}',
    ]
    assert sorted(tmp_path.iterdir()) == before


def test_a_route_that_no_record_comes_to_is_told(tmp_path: Path) -> None:
    """Nothing names tasks here, so that all records would go to the default without a word."""
    code = {"when": {"task": "code"}, "models": ["small"]}
    job = job_at(tmp_path, CLOSED_PORT, routes={"code": code, "default": {"models": ["small"]}})

    ran = batchroute("check", job)

    assert ran.returncode == 0
    assert ran.stdout.splitlines()[2:4] == ["  route default: 2", "  route code: 0"]


def test_a_parameter_that_is_probably_misspelt_is_told_and_no_error(tmp_path: Path) -> None:
    job = job_at(tmp_path, CLOSED_PORT, prompt={"user": "{{ text }}", "params": {"max_tokns": 5, "top_n": 1}})

    ran = batchroute("check", job)

    assert ran.returncode == 0
    told = [line for line in (ran.stdout + ran.stderr).splitlines() if "[job_param]" in line]
    assert len(told) == 1
    assert "prompt.params.max_tokns is no parameter that we know, did you mean max_tokens?" in told[0]


def test_ping_asks_every_provider(tmp_path: Path) -> None:
    with serving() as (_, told):
        job = job_at(tmp_path, told["url"])
        answered = batchroute("check", job, "--ping")
        refused = batchroute("check", job, "--ping", "--set", f"providers.there.base_url={CLOSED_PORT}")

    assert (answered.returncode, answered.stderr) == (0, "")
    assert answered.stdout.endswith("there: answers\n")
    assert refused.returncode == 5
    assert refused.stderr.startswith("there: ")
    assert "answers" not in refused.stdout


def test_ping_reaches_a_simulated_provider_too(tmp_path: Path) -> None:
    ran = batchroute("check", write_job(tmp_path, count=1), "--ping")
    assert ran.returncode == 0
    assert ran.stdout.endswith("sim: answers\n")


def test_records_that_would_fail_are_shown_with_their_place(tmp_path: Path) -> None:
    job = job_at(tmp_path, CLOSED_PORT)
    write_records(tmp_path / "in.jsonl", [{"id": "a", "text": None}, {"id": "b", "text": "good"}])

    ran = batchroute("check", job)

    assert ran.returncode == 0
    assert "in.jsonl:1 (byte 0): field_null: 'text': " in ran.stderr
    assert '"content":"good"' in ran.stdout


def test_a_model_without_a_price_is_warned_of(tmp_path: Path) -> None:
    models = {"own": {"provider": "there"}}
    job = job_at(tmp_path, CLOSED_PORT, models=models, routes={"default": {"models": ["own"]}}, baseline=None)
    ran = batchroute("check", job)
    assert ran.returncode == 0
    assert "Warning: no price is known for own: their cost will be null." in ran.stderr


@pytest.mark.parametrize(
    ("override", "exit_code", "told"),
    [
        ('prompt.user="{{ text"', 2, "prompt.user: line 1, column 1: "),
        ('prompt.user="{{ text.upper() }}"', 2, "template_unsafe"),
        ("prompt.usr=a", 2, "usr"),
        ("providers.there.api_key=${NOT_SET_ANYWHERE}", 2, "NOT_SET_ANYWHERE"),
        ("input.path=nowhere.jsonl", 65, "nowhere.jsonl"),
    ],
)
def test_what_prevents_a_run_is_found(tmp_path: Path, override: str, exit_code: int, told: str) -> None:
    ran = batchroute("check", job_at(tmp_path, CLOSED_PORT), "--set", override)
    assert ran.returncode == exit_code, ran.stderr
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr


def test_whom_records_ask_first_is_told_where_they_or_a_profile_decide(tmp_path: Path) -> None:
    profiles = {"budget": ["small"], "balanced": ["small", "large"], "quality": ["large", "small"]}
    job = write_job(
        tmp_path,
        count=6,
        routes={"default": {"models": profiles}},
        input={"path": "in.jsonl", "id": "id", "model": "model"},
    )
    asked = ["", "large", "auto-fast", "nobody", "auto", "auto"]
    write_records(
        tmp_path / "in.jsonl",
        [{**row, "model": name} for row, name in zip(records(6), asked, strict=True)],
    )

    ran = batchroute("check", job)
    assert "asked first: small 3, large 1, large or small 1\n" in ran.stdout
    assert "model_unknown: no model is named 'nobody'" in ran.stderr
    of_quality = batchroute("check", job, "--profile", "quality")
    assert "asked first: large 4, large or small 1\n" in of_quality.stdout


def test_profile_of_a_job_without_any_is_refused(tmp_path: Path) -> None:
    ran = batchroute("check", write_job(tmp_path, count=3), "--profile", "quality")

    assert ran.returncode == 2
    assert "profile: chooses nothing: no route has profiles" in ran.stderr
    assert "[job_profile]" in ran.stderr


def test_column_of_wishes_that_no_record_has_is_warned_of(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=3, input={"path": "in.jsonl", "id": "id", "model": "body.model"})

    ran = batchroute("check", job)
    assert "Warning: no record has body.model, the column that input.model names" in ran.stderr


@pytest.mark.parametrize(
    ("named", "key"),
    [
        ({"classify": [{"builtin": "tasks"}, {"column": "txt"}]}, "classify[1]"),
        ({"classify": [{"column": "text", "confidence": "txt"}]}, "classify[0]"),
        ({"classify": [{"sql": "CASE WHEN txt = '1' THEN 'code' END"}]}, "classify[0]"),
        ({"classify": [{"patterns": {"code": ["a"]}, "text": "txt"}]}, "classify[0]"),
        ({"input": {"path": "in.jsonl", "id": "id", "text": "txt"}}, "input.text"),
        ({"input": {"path": "in.jsonl", "id": "id", "language": "txt"}}, "input.language"),
        ({"output": {"path": "out", "keep": ["txt"]}}, "output.keep"),
    ],
)
def test_a_misspelt_column_is_told_before_during_and_after_a_run(
    tmp_path: Path, named: dict[str, Any], key: str
) -> None:
    """On JSONL it sent every record to the default route without a word; of Parquet it is refused."""
    job = write_job(tmp_path, count=3, **named)

    for command in ("check", "plan", "run"):
        ran = batchroute(command, job)
        assert ran.returncode == 0, ran.stderr
        (told,) = ran.stderr.splitlines()
        assert told.startswith(f"Warning: no record has txt, the column that {key} names, did you mean text?")


def test_of_records_without_an_id_no_column_is_said_to_be_missing(tmp_path: Path) -> None:
    keep = {"path": "out", "keep": ["text"]}
    job = write_job(tmp_path, count=3, input={"path": "in.jsonl", "id": "idd"}, output=keep)

    ran = batchroute("check", job)

    assert (ran.returncode, "no record has" in ran.stderr) == (65, False)
    assert "the declared id 'idd' is missing" in ran.stderr


def test_a_task_that_no_stage_gives_is_told_where_that_is_known(tmp_path: Path) -> None:
    able = {"when": {"task": ["code", "vision", "codee"]}, "models": ["small"]}
    routes = {"able": able, "default": {"models": ["small"]}}
    told = "routes.able.when.task names codee, and no stage of classify gives that task, did you mean code?"

    known = batchroute("check", job_at(tmp_path, CLOSED_PORT, routes=routes, classify=[{"builtin": "tasks"}]))
    stages = [{"builtin": "tasks"}, {"column": "text"}]
    unknown = batchroute("check", job_at(tmp_path, CLOSED_PORT, routes=routes, classify=stages))

    assert [line for line in known.stderr.splitlines() if "[job_task]" in line] == [
        f"Warning: {told} No record comes to the route by it [job_task]"
    ]
    assert unknown.stderr == ""


def test_ids_that_were_read_before_are_found(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=8, input={"path": "in.jsonl", "id": "text"})
    write_records(tmp_path / "in.jsonl", [{"id": str(n), "text": "ab"[n % 2]} for n in range(8)])

    found, ran = batchroute("check", job), batchroute("run", job)

    assert (found.returncode, ran.returncode) == (65, 65)
    assert "  in.jsonl:4 (byte 75): id_duplicate: id 'b' was read before, at in.jsonl:2\n" in found.stderr
    assert "6 of 8 records cannot be sent\n" in found.stderr
    assert "id_duplicate 6" in ran.stderr


def test_records_that_are_too_dear_for_every_model_are_found(tmp_path: Path) -> None:
    dear = {"default": {"models": ["small", "large"], "max_cost": 0.000001}}
    job = write_job(tmp_path, count=3, routes=dear)

    found, ran = batchroute("check", job), batchroute("run", job)

    assert (found.returncode, ran.returncode) == (0, 3)
    assert "no_model_fits: small is expected to cost 0.0000" in found.stderr
    assert "3 of 3 records cannot be sent\n" in found.stderr


def test_files_are_read_on_until_enough_records_were_looked_at(tmp_path: Path) -> None:
    days = tmp_path / "days"
    days.mkdir()
    for day in range(3):
        write_records(days / f"{day}.jsonl", [{"id": f"{day}", "text": "a"}])
    write_records(days / "3.jsonl", [{"id": "3", "txt": "a"}])

    ran = batchroute("check", job_at(tmp_path, CLOSED_PORT, input={"path": "days", "id": "id"}))

    assert "input: 4 files, " in ran.stdout
    assert "looked at 4 records" in ran.stdout
    assert "  3.jsonl:1 (byte 0): field_missing: " in ran.stderr


def test_a_thousand_records_of_parquet_are_looked_at(tmp_path: Path) -> None:
    """Its first slice has 256 rows."""
    rows = [{"id": str(n), "text": "a" if n < 256 else None} for n in range(1500)]
    pl.DataFrame(rows, schema={"id": pl.String, "text": pl.String}).write_parquet(tmp_path / "in.parquet")

    ran = batchroute("check", job_at(tmp_path, CLOSED_PORT, input={"path": "in.parquet", "id": "id"}))

    assert "looked at 1,000 records" in ran.stdout
    assert (ran.returncode, "744 of 1,000 records cannot be sent" in ran.stderr) == (65, True)


def test_texts_that_a_model_would_label_are_counted_and_nobody_is_asked(tmp_path: Path) -> None:
    stages = [
        {"patterns": {"code": ["0"]}},
        {"llm": {"model": "small", "labels": ["chat"], "batch": 20}},
        {"llm": {"model": "small", "labels": ["other"], "max_chars": 8}},
    ]
    job = job_at(tmp_path, CLOSED_PORT, classify=stages)
    write_records(tmp_path / "in.jsonl", [*records(3), {"id": "same", "text": "question 1"}])

    ran = batchroute("check", job)

    assert ran.returncode == 0, ran.stderr
    assert "  llm:small would be asked about 2 texts; here they go by the other stages\n" in ran.stdout
    assert "  llm:small:2 would be asked about 1 text;" in ran.stdout
