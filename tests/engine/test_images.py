"""Records with images: what is sent for them, to whom, and at what price."""

import json
from base64 import b64decode
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.money import Price, Rates
from batchroute.core.requests import TOKENS_PER_IMAGE
from batchroute.engine.entries import MOST_TOKENS_PER_IMAGE, upper_bound
from batchroute.engine.pipeline import Options
from batchroute.engine.previews import preview
from batchroute.engine.runs import run
from tests.builders import job, model, write_records
from tests.cli.receivers import Reply, completion, receiving
from tests.engine.runs import Ran, run_virtually
from tests.fakes import always, answer

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PROMPT = {"system": "be brief", "user": "{{ text }}", "params": {"max_tokens": 16}, "images": ("photo",)}
MODELS = {"a": model("a"), "b": model("b", vision=True)}
FRESH = Options(fresh=True)
SCRIPTS = {"a": always(answer()), "b": always(answer())}


def ran(folder: Path, *photos: Any, image: bytes = PNG, **fields: Any) -> Ran:
    (folder / "a.png").write_bytes(image)
    write_records(
        folder / "in.jsonl",
        [{"id": f"r{number}", "text": "what is it?", "photo": photo} for number, photo in enumerate(photos)],
    )
    return run_virtually(folder, **{"scripts": SCRIPTS, "prompt": PROMPT, "models": MODELS, **fields})


def messages(done: Ran) -> list[Any]:
    return [json.loads(sent.request.messages) for sent in done.provider.log]


def test_an_image_stands_behind_the_text_of_the_user_message(tmp_path: Path) -> None:
    done = ran(tmp_path, "https://example.com/a.png")

    assert messages(done) == [
        [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is it?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ],
            },
        ]
    ]


def test_records_with_images_go_only_to_models_that_see(tmp_path: Path) -> None:
    done = ran(tmp_path, "a.png", "https://example.com/a.png")

    assert done.provider.sent == {"b": 2}


def test_a_file_is_sent_with_its_bytes(tmp_path: Path) -> None:
    [[_, asked]] = messages(ran(tmp_path, "a.png"))

    kind, _, encoded = asked["content"][1]["image_url"]["url"].partition(",")
    assert (kind, b64decode(encoded)) == ("data:image/png;base64", PNG)


def test_what_cannot_be_sent_is_a_dead_letter_and_the_others_go_on(tmp_path: Path) -> None:
    (tmp_path / "no.png").write_text("no image")
    large = tmp_path / "large.png"
    large.write_bytes(PNG * 8)
    prompt = {**PROMPT, "max_image_mb": 0.001}
    done = ran(
        tmp_path,
        "a.png",
        None,
        "gone.png",
        "no.png",
        "large.png",
        "/etc/passwd",
        *["a.png"] * 5,
        prompt=prompt,
    )

    failed = done.results.filter(pl.col("status") == "failed").sort("record_id")
    assert failed["error_type"].to_list() == [
        "image_missing",
        "image_missing",
        "image_type",
        "image_too_large",
        "image_outside",
    ]
    assert done.ended.succeeded == 6
    assert "root:" not in "".join(failed["error_message"])


def test_a_folder_that_the_job_declares_may_be_anywhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "b.png").write_bytes(PNG)
    done = ran(tmp_path, "b.png", prompt={**PROMPT, "image_folder": elsewhere})

    assert done.ended.succeeded == 1


def test_bytes_of_parquet_are_images(tmp_path: Path) -> None:
    table = pl.DataFrame({"id": ["x"], "text": ["what is it?"], "photo": [PNG]})
    table.write_parquet(tmp_path / "in.parquet")
    done = run_virtually(
        tmp_path,
        scripts=SCRIPTS,
        prompt=PROMPT,
        models=MODELS,
        input={"path": str(tmp_path / "in.parquet"), "id": "id"},
    )

    [[_, asked]] = messages(done)
    assert b64decode(asked["content"][1]["image_url"]["url"].partition(",")[2]) == PNG


def test_an_image_counts_by_itself_and_not_by_its_file(tmp_path: Path) -> None:
    small = ran(tmp_path, "a.png").provider.log[0].request
    large = ran(tmp_path, "a.png", image=PNG.ljust(1_000_000), options=FRESH).provider.log[0].request

    assert TOKENS_PER_IMAGE < small.estimated_tokens() < TOKENS_PER_IMAGE + 100
    assert abs(large.estimated_tokens() - small.estimated_tokens()) <= 1
    assert len(large.messages) > 1_000_000


def test_with_a_budget_an_image_is_booked_at_the_most_that_it_may_take(tmp_path: Path) -> None:
    done = ran(tmp_path, "a.png", budget={"usd": 1})
    bound = upper_bound(done.provider.log[0].request, Rates.of(Price(input=Decimal(1), output=Decimal(0))))

    assert done.ended.succeeded == 1
    assert bound is not None
    assert MOST_TOKENS_PER_IMAGE < bound // 1_000_000 < MOST_TOKENS_PER_IMAGE + 500


def test_another_image_under_the_same_name_makes_an_answer_stale(tmp_path: Path) -> None:
    ran(tmp_path, "a.png")
    again = ran(tmp_path, "a.png", image=PNG + b"x", options=Options(refresh_changed=True))

    assert len(again.provider.log) == 1


async def test_a_preview_shows_no_image_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG * 100)
    write_records(tmp_path / "in.jsonl", [{"id": "x", "text": "what?", "photo": "a.png"}])

    shown = (await preview(job(tmp_path, prompt=PROMPT, models=MODELS))).request

    assert shown is not None
    assert "data:image/png;base64," in shown
    assert len(shown) < 400


@pytest.mark.parametrize("transport", ["wire", "sdk"])
@pytest.mark.parametrize("endpoint", ["chat", "responses"])
async def test_images_go_out_over_http_as_each_api_wants_them(
    tmp_path: Path, transport: str, endpoint: str
) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    write_records(tmp_path / "in.jsonl", [{"id": "x", "text": "what?", "photo": "a.png"}])
    said = {"type": "message", "content": [{"type": "output_text", "text": "a cat"}]}
    usage = {"input_tokens": 5, "output_tokens": 3}
    responded = Reply(
        body=json.dumps(
            {"id": "r", "model": "b", "status": "completed", "output": [said], "usage": usage}
        ).encode()
    )
    with receiving(lambda _: responded if endpoint == "responses" else completion("a cat")) as there:
        asked = job(
            tmp_path,
            endpoint=endpoint,
            prompt=PROMPT,
            models=MODELS,
            providers={"p": {"base_url": f"{there.url}/v1", "transport": transport}},
        )
        ended = await run(asked, conclude=lambda ended: ended)

    assert ended.exit_code == 0, ended
    [received] = there.received
    body = json.loads(received.body)
    sent = body["input" if endpoint == "responses" else "messages"][-1]["content"]
    if endpoint == "responses":
        assert (received.path, body["instructions"]) == ("/v1/responses", "be brief")
        assert [part["type"] for part in sent] == ["input_text", "input_image"]
        assert b64decode(sent[1]["image_url"].partition(",")[2]) == PNG
    else:
        assert received.path == "/v1/chat/completions"
        assert [part["type"] for part in sent] == ["text", "image_url"]
        assert b64decode(sent[1]["image_url"]["url"].partition(",")[2]) == PNG
