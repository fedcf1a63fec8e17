"""Whole runs whose records name their model or their profile."""

from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from batchroute.core.errors import InputError, JobError
from batchroute.core.responses import ErrorType
from batchroute.engine.pipeline import Options
from batchroute.engine.previews import preview
from tests.builders import job, model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, always, answer, failure

PRICES = {"small": 1, "mini": 5, "large": 50}
PROFILES = {"budget": ["small"], "balanced": ["mini", "small"], "quality": ["large", "mini"]}
UP, DOWN = always(answer()), always(failure(ErrorType.SERVER_ERROR))


def priced(name: str, price: int, **fields: Any) -> dict[str, Any]:
    return model(name, price={"input": Decimal(price), "output": Decimal(price)}, **fields)


def ran(folder: Path, rows: list[dict[str, Any]], **fields: Any) -> Ran:
    """A run of these rows over three models, small, mini and large; the route begins with small."""
    write_records(folder / "in.jsonl", rows)
    asked = {"path": str(folder / "in.jsonl"), "id": "id", **fields.pop("input", {})}
    models = fields.pop("models", {name: priced(name, price) for name, price in PRICES.items()})
    scripts: dict[str, Script] = {**dict.fromkeys(models, UP), **fields.pop("scripts", {})}
    routes = fields.pop("routes", {"default": {"models": ["small", "mini"]}})
    return run_virtually(folder, scripts=scripts, models=models, routes=routes, input=asked, **fields)


def wishing(names: list[Any], key: str = "model") -> list[dict[str, Any]]:
    """One record for each value of this field; None: the field is missing."""
    rows = records(len(names))
    return [row if name is None else {**row, key: name} for row, name in zip(rows, names, strict=True)]


def answered(run: Ran) -> list[str | None]:
    """The models of the results, in the order of the records."""
    found = run.results.sort("record_id")
    return found["model"].to_list()


class TestNamedModel:
    COLUMN: ClassVar[dict[str, Any]] = {"input": {"model": "model"}}

    def test_is_asked_first_whatever_the_route_lists(self, tmp_path: Path) -> None:
        run = ran(tmp_path, wishing(["large", "mini", "small"]), **self.COLUMN)

        assert answered(run) == ["large", "mini", "small"]
        assert set(run.results["route"]) == {"default"}

    @pytest.mark.parametrize("said", [None, "", "  ", "auto"])
    def test_record_that_names_none_goes_by_its_route(self, tmp_path: Path, said: str | None) -> None:
        assert answered(ran(tmp_path, wishing([said]), **self.COLUMN)) == ["small"]

    def test_null_names_none(self, tmp_path: Path) -> None:
        rows = [{**row, "model": None} for row in records(1)]

        assert answered(ran(tmp_path, rows, **self.COLUMN)) == ["small"]

    def test_the_models_of_the_route_follow_when_it_fails(self, tmp_path: Path) -> None:
        run = ran(tmp_path, wishing(["large"] * 3), scripts={"large": DOWN}, **self.COLUMN)

        assert set(answered(run)) == {"small"}
        assert run.ended.failed == 0

    def test_name_at_the_provider_is_understood(self, tmp_path: Path) -> None:
        models = {"small": priced("sim-small", 1), "large": priced("sim-large", 9)}
        scripts = {"sim-small": UP, "sim-large": UP}
        run = ran(
            tmp_path,
            wishing(["sim-large"]),
            models=models,
            scripts=scripts,
            routes={"default": {"models": ["small"]}},
            **self.COLUMN,
        )

        assert answered(run) == ["large"]

    @pytest.mark.parametrize("said", ["gpt-9", "AUTO", 7, ["large"], "auto-free"])
    def test_unknown_name_is_a_dead_letter_that_lists_the_known(self, tmp_path: Path, said: object) -> None:
        run = ran(tmp_path, wishing([said, "small", "small"]), **self.COLUMN)

        (dead,) = run.results.filter(run.results["status"] == "failed").to_dicts()
        assert dead["error_type"] == "model_unknown"
        assert (
            "There are small, mini, large, auto, auto-cheap, auto-fast, auto-best, auto-code"
            in dead["error_message"]
        )
        assert len(run.ledger) == 2

    def test_unknown_name_can_be_mended_and_is_tried_again(self, tmp_path: Path) -> None:
        ran(tmp_path, wishing(["gpt-9", "small", "small"]), **self.COLUMN)
        run = ran(tmp_path, wishing(["large", "small", "small"]), **self.COLUMN)

        assert answered(run) == ["large", "small", "small"]

    def test_fresh_start_that_would_answer_nothing_removes_nothing(self, tmp_path: Path) -> None:
        ran(tmp_path, wishing(["large"] * 3), **self.COLUMN)

        with pytest.raises(InputError, match="model_unknown 3"):
            ran(tmp_path, wishing(["gpt-9"] * 3), options=Options(fresh=True), **self.COLUMN)
        assert len(pl.read_parquet(tmp_path / "out/results/part-*.parquet")) == 3

    def test_balanced_groups_stay_behind_the_named_model(self, tmp_path: Path) -> None:
        routes = {"default": {"models": [["small", "mini"], "large"]}}
        run = ran(tmp_path, wishing(["large", "mini"]), routes=routes, scripts={"large": DOWN}, **self.COLUMN)

        assert answered(run)[1] == "mini"
        assert answered(run)[0] in {"small", "mini"}

    def test_model_dearer_than_the_route_allows_is_left_out(self, tmp_path: Path) -> None:
        routes = {"default": {"models": ["small", "mini"], "max_cost": 0.0002}}
        run = ran(tmp_path, wishing(["large", "mini"]), routes=routes, **self.COLUMN)

        assert answered(run) == ["small", "mini"]

    def test_every_declared_model_needs_a_price_under_a_budget(self, tmp_path: Path) -> None:
        models = {"small": priced("small", 1), "mini": priced("mini", 1), "large": {"provider": "p"}}

        with pytest.raises(JobError, match="no price is known for large"):
            ran(tmp_path, wishing(["small"]), models=models, budget={"usd": 1}, **self.COLUMN)

    def test_model_of_a_body_is_looked_at_only_where_the_job_says_so(self, tmp_path: Path) -> None:
        rows = [{"id": "r0", "body": {"model": "large", "messages": [{"role": "user", "content": "hi"}]}}]
        (tmp_path / "ignored").mkdir()
        (tmp_path / "asked").mkdir()
        body = {"prompt": {"body": "body", "params": {"max_tokens": 16}}}

        assert answered(ran(tmp_path / "ignored", rows, **body)) == ["small"]
        assert answered(ran(tmp_path / "asked", rows, input={"model": "body.model"}, **body)) == ["large"]

    def test_other_name_makes_the_answer_stale_and_the_routes_own_does_not(self, tmp_path: Path) -> None:
        ran(tmp_path, wishing([None, None]), **self.COLUMN)
        run = ran(tmp_path, wishing(["small", "large"]), **self.COLUMN)

        assert run.ended.stale == 1
        refreshed = ran(
            tmp_path, wishing(["small", "large"]), options=Options(refresh_changed=True), **self.COLUMN
        )
        assert answered(refreshed) == ["small", "large"]


class TestAutoNames:
    @pytest.mark.parametrize(
        ("said", "expected"),
        [("auto-cheap", "small"), ("auto-best", "large"), ("auto-code", "mini"), ("auto-free", "own")],
    )
    def test_stands_for(self, tmp_path: Path, said: str, expected: str) -> None:
        models = {name: priced(name, price) for name, price in PRICES.items()}
        models["mini"]["strengths"] = ["code"]
        models["own"] = priced("own", 0)
        if said == "auto-cheap":
            del models["own"]
        run = ran(tmp_path, wishing([said]), models=models, input={"model": "model"})

        assert answered(run) == [expected]

    def test_free_never_comes_to_a_model_that_costs(self, tmp_path: Path) -> None:
        models = {"own": priced("own", 0), **{name: priced(name, price) for name, price in PRICES.items()}}
        run = ran(
            tmp_path,
            wishing(["auto-free"]),
            models=models,
            scripts={"own": DOWN},
            input={"model": "model"},
            options=Options(max_wait_s=60),
        )

        assert set(run.ledger["model"]) == {"own"}

    def test_fast_learns_which_model_that_is(self, tmp_path: Path) -> None:
        scripts = {
            "small": always(answer(), 0.9),
            "mini": always(answer(), 0.1),
            "large": always(answer(), 0.9),
        }
        run = ran(
            tmp_path, wishing(["auto-fast"] * 400), scripts=scripts, input={"model": "model"}, window=16
        )

        assert run.results["model"].to_list().count("mini") > 300

    def test_best_goes_by_the_task_of_the_record(self, tmp_path: Path) -> None:
        models = {name: priced(name, price) for name, price in PRICES.items()}
        models["mini"]["strengths"] = ["code"]
        rows = [
            {**row, "task": task}
            for row, task in zip(wishing(["auto-best"] * 2), ["code", "chat"], strict=True)
        ]
        run = ran(tmp_path, rows, models=models, input={"model": "model"}, classify=[{"column": "task"}])

        assert answered(run) == ["mini", "large"]


class TestProfiles:
    ROUTES: ClassVar[dict[str, Any]] = {"routes": {"default": {"models": PROFILES}}}

    @pytest.mark.parametrize(
        ("profile", "expected"), [("budget", "small"), ("balanced", "mini"), ("quality", "large")]
    )
    def test_profile_of_the_job_chooses(self, tmp_path: Path, profile: str, expected: str) -> None:
        assert answered(ran(tmp_path, records(1), profile=profile, **self.ROUTES)) == [expected]

    def test_record_may_choose_another_one_than_the_job(self, tmp_path: Path) -> None:
        rows = wishing(["budget", None, "quality", "balanced", ""], key="tier")
        run = ran(tmp_path, rows, input={"profile": "tier"}, profile="quality", **self.ROUTES)

        assert answered(run) == ["small", "large", "large", "mini", "large"]

    def test_unknown_profile_is_a_dead_letter(self, tmp_path: Path) -> None:
        run = ran(
            tmp_path,
            wishing(["cheap", "budget", "budget"], key="tier"),
            input={"profile": "tier"},
            **self.ROUTES,
        )

        (dead,) = run.results.filter(run.results["status"] == "failed").to_dicts()
        assert dead["error_type"] == "profile_unknown"
        assert "'cheap', which is none of budget, balanced, quality" in dead["error_message"]

    def test_failover_stays_within_the_profile(self, tmp_path: Path) -> None:
        rows = wishing(["quality"] * 3, key="tier")
        run = ran(tmp_path, rows, input={"profile": "tier"}, scripts={"large": DOWN}, **self.ROUTES)

        assert set(answered(run)) == {"mini"}

    def test_other_profile_makes_answers_stale(self, tmp_path: Path) -> None:
        ran(tmp_path, records(2), **self.ROUTES)

        assert ran(tmp_path, records(2), profile="quality", **self.ROUTES).ended.stale == 2

    def test_profile_that_leads_to_the_same_models_makes_nothing_stale(self, tmp_path: Path) -> None:
        same: dict[str, Any] = {
            "routes": {"default": {"models": {**PROFILES, "quality": PROFILES["balanced"]}}}
        }
        ran(tmp_path, records(2), **same)

        assert ran(tmp_path, records(2), profile="quality", **same).ended.stale == 0

    def test_named_model_comes_before_those_of_the_profile(self, tmp_path: Path) -> None:
        rows = [{**row, "tier": "quality"} for row in wishing(["small"])]
        asked = {"model": "model", "profile": "tier"}
        run = ran(tmp_path, rows, input=asked, scripts={"small": DOWN}, **self.ROUTES)

        assert answered(run) == ["large"]


class TestForm:
    """Whoever a record wishes for is asked for the form of its route, although that does not list the model."""

    WISHES = pytest.mark.parametrize(
        ("key", "said", "listed"),
        [("model", "large", ["small"]), ("model", "auto-best", ["small"]), ("profile", "quality", PROFILES)],
    )
    FORM: ClassVar[dict[str, Any]] = {
        "models": {name: priced(name, price, json_schema=True) for name, price in PRICES.items()},
        "response": {"schema": {"type": "object"}},
    }

    @WISHES
    def test_wished_model_is_asked_for_the_form(
        self, tmp_path: Path, key: str, said: str, listed: Any
    ) -> None:
        scripts = {"large": always(answer("{}"))}
        routes = {"default": {"models": listed}}
        run = ran(
            tmp_path, wishing([said], key), scripts=scripts, routes=routes, input={key: key}, **self.FORM
        )

        assert answered(run) == ["large"]
        assert b"json_schema" in run.provider.log[0].request.params

    @WISHES
    async def test_preview_shows_how(self, tmp_path: Path, key: str, said: str, listed: Any) -> None:
        path = write_records(tmp_path / "in.jsonl", wishing([said], key))
        asked = {"path": str(path), "id": "id", key: key}
        seen = await preview(job(tmp_path, input=asked, routes={"default": {"models": listed}}, **self.FORM))

        assert "json_schema" in (seen.request or "")
