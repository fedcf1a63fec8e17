"""How the records of whole runs choose among the models of their route."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.errors import JobError
from batchroute.core.responses import ErrorType
from batchroute.engine.openings import router
from tests.builders import job, model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, Sent, always, answer, failure

OPENAI = {"p": {"base_url": "https://api.openai.com/v1", "api_key": "EMPTY"}}
FEW_SLOTS = {"concurrency": 8}
FAST, SLOW = always(answer(), 0.1), always(answer(), 0.5)


def ran(folder: Path, count: int, scripts: dict[str, Script], **route: Any) -> Ran:
    """A run of so many records over models of eight slots each."""
    write_records(folder / "in.jsonl", records(count))
    models = {name: model(name, limits=FEW_SLOTS) for name in scripts}
    listed = {"models": list(scripts), **route}
    return run_virtually(folder, scripts=scripts, models=models, routes={"default": listed})


def answered(run: Ran) -> Counter[str]:
    """Results by model."""
    return Counter(run.results["model"].to_list())


def after(script_until: Script, number: int, script_from: Script) -> Script:
    """One script for the first requests, another one for those that follow."""
    return lambda sent: (script_until if sent.number <= number else script_from)(sent)


class TestLeastBusy:
    def test_equal_models_get_equal_shares(self, tmp_path: Path) -> None:
        run = ran(tmp_path, 1000, dict.fromkeys("ab", always(answer())), strategy="least_busy")

        assert answered(run)["a"] == pytest.approx(500, abs=20)

    def test_slower_model_gets_as_many_as_it_can_do(self, tmp_path: Path) -> None:
        scripts = {"a": always(answer(), 0.3), "b": always(answer(), 0.1)}
        run = ran(tmp_path, 2000, scripts, strategy="least_busy")

        assert answered(run)["b"] / answered(run)["a"] == pytest.approx(3, abs=0.5)

    def test_slots_of_all_models_are_in_use_at_once(self, tmp_path: Path) -> None:
        run = ran(tmp_path, 500, dict.fromkeys("abc", always(answer(), 1.0)), strategy="least_busy")

        assert dict(run.provider.most_in_flight) == {"a": 8, "b": 8, "c": 8}


class TestGroups:
    GROUPS = (["east", "west"], "backup")

    def test_group_is_balanced_and_what_comes_after_it_is_left_alone(self, tmp_path: Path) -> None:
        scripts = dict.fromkeys(("east", "west", "backup"), always(answer()))
        run = ran(tmp_path, 1000, scripts, models=list(self.GROUPS))

        assert answered(run)["east"] == pytest.approx(500, abs=20)
        assert answered(run)["backup"] == 0

    def test_record_fails_over_within_its_group_first(self, tmp_path: Path) -> None:
        scripts = {
            "east": always(failure(ErrorType.OVERLOADED)),
            "west": always(answer()),
            "backup": always(answer()),
        }
        run = ran(tmp_path, 300, scripts, models=list(self.GROUPS))

        assert answered(run) == {"west": 300}

    def test_group_that_is_down_is_left_for_the_next_one(self, tmp_path: Path) -> None:
        down = always(failure(ErrorType.OVERLOADED))
        scripts = {"east": down, "west": down, "backup": always(answer())}
        run = ran(tmp_path, 300, scripts, models=list(self.GROUPS))
        first_two = (
            run.ledger.sort("attempt").group_by("record_id").agg(pl.col("model").head(2).alias("models"))
        )
        three = run.ledger.filter(pl.col("attempt") == 3)["record_id"].to_list()

        assert answered(run) == {"backup": 300}
        assert three, "some records came before the group was found to be down"
        for record_id, models in first_two.iter_rows():
            assert record_id not in three or set(models) == {"east", "west"}

    def test_strategy_chooses_within_the_group(self, tmp_path: Path) -> None:
        scripts = dict.fromkeys(("east", "west", "backup"), always(answer()))
        weights = {"east": 9, "west": 1}
        run = ran(tmp_path, 1000, scripts, models=list(self.GROUPS), strategy="weighted", weights=weights)

        assert answered(run)["east"] == pytest.approx(900, abs=40)
        assert answered(run)["backup"] == 0


class TestWeighted:
    def test_shares_are_those_of_the_weights(self, tmp_path: Path) -> None:
        scripts = dict.fromkeys("abc", always(answer()))
        weights = {"a": 6, "b": 3, "c": 1}
        run = ran(tmp_path, 2000, scripts, strategy="weighted", weights=weights)

        assert answered(run)["a"] == pytest.approx(1200, abs=80)
        assert answered(run)["b"] == pytest.approx(600, abs=80)

    def test_seed_replays_every_choice(self, tmp_path: Path) -> None:
        chosen = []
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            scripts = dict.fromkeys("ab", always(answer()))
            run = ran(tmp_path / name, 100, scripts, strategy="weighted", weights={"a": 1, "b": 1})
            chosen.append(run.results.sort("record_id")["model"].to_list())

        assert chosen[0] == chosen[1]
        assert set(chosen[0]) == {"a", "b"}


class TestFastest:
    def test_faster_model_gets_nearly_all_but_a_few_explorations(self, tmp_path: Path) -> None:
        run = ran(tmp_path, 2000, {"slow": SLOW, "fast": FAST}, strategy="fastest")

        assert answered(run)["fast"] > 0.9 * 2000
        assert answered(run)["slow"] > 0.02 * 2000

    def test_model_that_slows_down_is_left(self, tmp_path: Path) -> None:
        scripts = {"steady": always(answer(), 0.2), "tired": after(FAST, 500, always(answer(), 2.0))}
        run = ran(tmp_path, 3000, scripts, strategy="fastest")

        assert 500 < answered(run)["tired"] < 1000

    def test_model_that_becomes_faster_is_found_again(self, tmp_path: Path) -> None:
        scripts = {"steady": always(answer(), 0.2), "better": after(SLOW, 60, FAST)}
        run = ran(tmp_path, 4000, scripts, strategy="fastest")

        assert answered(run)["better"] > 1500


class TestCheapest:
    def sized(self, folder: Path, **route: Any) -> Ran:
        """Short and long records; a is cheap to ask and dear to hear, b the other way round."""
        lengths = [40, 4000] * 50
        write_records(
            folder / "in.jsonl", [{"id": f"r{at}", "text": "x" * size} for at, size in enumerate(lengths)]
        )
        models = {
            "a": model("a", price={"input": Decimal(1), "output": Decimal(2)}),
            "b": model("b", price={"input": Decimal("0.5"), "output": Decimal(20)}),
        }
        scripts = dict.fromkeys("ab", always(answer()))
        routes = {"default": {"models": ["b", "a"], **route}}
        return run_virtually(folder, scripts=scripts, models=models, routes=routes)

    def by_size(self, run: Ran) -> dict[str, set[str]]:
        """The models that short and long records were answered by."""
        found = dict(zip(run.results["record_id"], run.results["model"], strict=True))
        return {
            name: {found[f"r{at}"] for at in range(start, 100, 2)}
            for name, start in (("short", 0), ("long", 1))
        }

    def test_price_is_reckoned_by_the_size_of_the_record(self, tmp_path: Path) -> None:
        run = self.sized(tmp_path, strategy="cheapest")

        # 16 tokens out: 26 in at least cost a 0.000058 USD, b 0.000333; a thousand more cost 0.001 and 0.0005
        assert self.by_size(run) == {"short": {"a"}, "long": {"b"}}

    def test_price_is_that_of_the_request_as_the_model_is_sent_it(self, tmp_path: Path) -> None:
        write_records(tmp_path / "in.jsonl", records(1))
        dearer = {"input": Decimal(1), "output": Decimal(3)}
        models = {
            "a": model("a", adapt={"drop": ["max_tokens"], "extra": {"max_completion_tokens": 999}}),
            "b": model("b", price=dearer),
        }
        routes = {"default": {"models": ["a", "b"], "strategy": "cheapest"}}
        scripts = dict.fromkeys("ab", always(answer()))

        assert answered(run_virtually(tmp_path, scripts=scripts, models=models, routes=routes)) == {"b": 1}

    def test_max_cost_leaves_out_what_is_too_dear(self, tmp_path: Path) -> None:
        run = self.sized(tmp_path, max_cost=Decimal("0.0009"))

        assert self.by_size(run) == {"short": {"b"}, "long": {"b"}}

    def test_record_that_is_too_dear_for_every_model_is_never_sent(self, tmp_path: Path) -> None:
        run = self.sized(tmp_path, max_cost=Decimal("0.0004"))
        dead = run.results.filter(pl.col("status") == "failed")

        assert set(dead["error_type"]) == {"no_model_fits"}
        assert len(dead) == 50
        assert not set(dead["record_id"]) & set(run.ledger["record_id"])
        assert "b is expected to cost 0.00" in dead["error_message"][0]
        assert "max_cost is 0.0004" in dead["error_message"][0]

    def test_unknown_price_is_refused_at_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(JobError, match=r"routes\.default\.strategy goes by prices.* b.*\[job_price\]"):
            run_virtually(
                write_records(tmp_path / "in.jsonl", records(1)).parent,
                models={"a": model("a"), "b": model("b", price=None)},
                routes={"default": {"models": ["a", "b"], "strategy": "cheapest"}},
            )


class TestFits:
    def fitted(self, folder: Path, rows: list[dict[str, Any]], models: dict[str, Any], **fields: Any) -> Ran:
        write_records(folder / "in.jsonl", rows)
        scripts = dict.fromkeys(models, always(answer()))
        declared = {name: model(name, **ability) for name, ability in models.items()}
        routes = {"default": {"models": list(models)}}
        return run_virtually(folder, scripts=scripts, models=declared, routes=routes, **fields)

    def chosen(self, run: Ran) -> dict[str, str]:
        return dict(zip(run.results["record_id"], run.results["model"], strict=True))

    def test_long_record_skips_a_model_whose_context_it_exceeds(self, tmp_path: Path) -> None:
        rows = [{"id": "short", "text": "x"}, {"id": "long", "text": "x" * 4000}]
        run = self.fitted(tmp_path, rows, {"a": {"context": 1000}, "b": {"context": 2000}})

        assert self.chosen(run) == {"short": "a", "long": "b"}

    def test_record_that_fits_nowhere_ends_with_a_reason_for_each_model(self, tmp_path: Path) -> None:
        rows = [{"id": "short", "text": "x"}, {"id": "huge", "text": "x" * 40_000}]
        run = self.fitted(tmp_path, rows, {"a": {"context": 1000}, "b": {"context": 2000}})
        dead = run.results.filter(pl.col("status") == "failed").row(0, named=True)

        assert dead["record_id"] == "huge"
        assert dead["error_type"] == "no_model_fits"
        assert "a has room for 1,000 tokens, and about 10,0" in dead["error_message"]
        assert "b has room for 2,000 tokens" in dead["error_message"]
        assert run.ledger["record_id"].to_list() == ["short"]

    def test_image_goes_to_a_model_that_sees(self, tmp_path: Path) -> None:
        url = "data:image/png;base64," + "A" * 100_000
        shown = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
        said = [{"role": "user", "content": 'what does "image_url" mean?'}]
        rows = [{"id": "shown", "messages": shown}, {"id": "said", "messages": said}]
        models = {"a": {"context": 5000}, "b": {"vision": True, "context": 5000}}
        run = self.fitted(tmp_path, rows, models, prompt={"column": "messages"})

        assert self.chosen(run) == {"shown": "b", "said": "a"}

    def test_json_schema_goes_to_a_model_that_keeps_to_it(self, tmp_path: Path) -> None:
        plain = {"messages": [{"role": "user", "content": "json_schema?"}]}
        schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}
        rows = [
            {"id": "plain", "body": plain},
            {"id": "formed", "body": {**plain, "response_format": schema}},
        ]
        models: dict[str, Any] = {"a": {"json_schema": False}, "b": {}}
        run = self.fitted(tmp_path, rows, models, prompt={"body": "body"})

        assert self.chosen(run) == {"plain": "a", "formed": "b"}

    def test_record_goes_to_a_model_that_speaks_its_language(self, tmp_path: Path) -> None:
        rows = [
            {"id": language or "untold", "text": "x", "language": language}
            for language in ("EN", "de-AT", "fr", None)
        ]
        models = {"a": {"languages": ["en"]}, "b": {"languages": ["de", "en"]}, "c": {}}
        read = {"path": str(tmp_path / "in.jsonl"), "id": "id", "language": "language"}
        run = self.fitted(tmp_path, rows, models, input=read)

        assert self.chosen(run) == {"EN": "a", "de-AT": "b", "fr": "c", "untold": "a"}

    def test_only_what_is_declared_gives_a_model_a_share_of_the_window(self, tmp_path: Path) -> None:
        """Or a model that nothing begins with would stay hungry, and have all of the input read ahead."""
        listed = {"a": model("gpt-4o-mini", price=None), "b": model("gpt-4.1", price=None)}
        known, declared = (
            router(job(tmp_path, models=models, providers=OPENAI)).rules[0]
            for models in (listed, {**listed, "b": model("gpt-4.1", context=9000)})
        )

        assert known.fitting is not None
        assert (known.head(("b",)), declared.head(("b",))) == ("a", "b")

    def test_record_that_only_a_later_model_has_room_for_is_sent_where_the_price_list_tells_it(
        self, tmp_path: Path
    ) -> None:
        rows = [{"id": "short", "text": "x"}, {"id": "long", "text": "x" * 1_000_000}]
        models: dict[str, Any] = {"gpt-4o-mini": {"price": None}, "gpt-4.1": {"price": None}}
        run = self.fitted(tmp_path, rows, models, providers=OPENAI)

        assert self.chosen(run) == {"short": "gpt-4o-mini", "long": "gpt-4.1"}

    def test_overflow_goes_to_a_larger_model_and_to_no_other(self, tmp_path: Path) -> None:
        write_records(tmp_path / "in.jsonl", records(3))
        contexts = {"a": 1000, "equal": 1000, "smaller": 500, "larger": 4000, "last": 8000}
        too_long = always(failure(ErrorType.CONTEXT_EXCEEDED))
        scripts = dict.fromkeys(contexts, too_long) | {"last": always(answer())}
        run = run_virtually(
            tmp_path,
            scripts=scripts,
            models={name: model(name, context=context) for name, context in contexts.items()},
            routes={"default": {"models": list(contexts)}},
        )
        tried = run.ledger.sort("attempt").group_by("record_id").agg("model")["model"].to_list()

        assert tried == [["a", "larger", "last"]] * 3


def test_script_of_the_faults_is_reached(tmp_path: Path) -> None:
    """A failing first choice of a strategy fails over like any other."""

    def flaky(sent: Sent) -> Any:
        return (0.1, failure(ErrorType.SERVER_ERROR) if sent.number % 5 == 0 else answer())

    run = ran(tmp_path, 400, dict.fromkeys("ab", flaky), strategy="least_busy")

    assert set(run.results["status"]) == {"succeeded"}
    assert set(run.ledger["verdict"]) >= {"failover", "accept"}
