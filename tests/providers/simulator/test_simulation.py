from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from batchroute.core.money import Price
from batchroute.job.simulation import Simulation
from batchroute.providers.simulator.settings import Latency, Settings, Window
from tests.providers.simulator.client import simulation


def test_three_models_are_shipped_and_cost_more_the_better_they_are() -> None:
    models = Simulation().models
    small, medium, large = (models[f"sim-{size}"] for size in ("small", "medium", "large"))

    assert len(models) == 3
    assert small.price is not None
    assert medium.price is not None
    assert large.price is not None
    assert small.price.output < medium.price.output < large.price.output
    assert small.skill["default"] < medium.skill["default"] < large.skill["default"]


def test_a_model_under_a_shipped_name_changes_only_what_it_gives() -> None:
    given = simulation(0, **{"sim-small": {"errors": {"timeout": 0.1}}}).models
    shipped = Simulation().models

    assert given["sim-small"].errors == {"timeout": 0.1}
    assert given["sim-small"].price == shipped["sim-small"].price
    assert given["sim-large"] == shipped["sim-large"]


def test_an_unstated_price_is_unknown_and_a_stated_one_is_exact() -> None:
    models = simulation(free={}, paid={"price": {"input": 0.1, "output": 2}}).models

    assert models["free"].price is None
    assert models["paid"].price is not None
    assert models["paid"].price.value == Price(input=Decimal("0.1"), output=Decimal(2))


@pytest.mark.parametrize(
    "model",
    [
        {"latency": {"p50": "2s", "p95": "1s"}},
        {"latency": {"p50": "0s", "p95": "1s"}},
        {"latency": {"p50": 1, "p95": 2}},
        {"latency": {"p50": "1s"}},
        {"tokens_per_s": 0},
        {"skill": {"default": 1.1}},
        {"errors": {"rate_limit": -0.1}},
        {"errors": {"rate_limit": 0.6, "empty": 0.6}},
        {"errors": {"fire": 0.1}},
        {"limits": {"rpm": 0}},
        {"outages": [{"after": "1s"}]},
        {"outages": [{"after": "1s", "for": "0s"}]},
        {"price": {"input": -1, "output": 1}},
        {"colour": "red"},
    ],
)
def test_a_model_out_of_range_is_refused(model: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        simulation(m=model)


def test_every_key_is_described_for_editors() -> None:
    schema = Simulation.model_json_schema()
    parts = [schema, *schema["$defs"].values()]

    undescribed = [
        name for part in parts for name, key in part["properties"].items() if "description" not in key
    ]

    assert undescribed == []


def test_the_server_is_told_everything_that_the_job_file_says() -> None:
    told = Settings.of(
        simulation(
            7,
            m={
                "latency": {"p50": "80ms", "p95": "1s"},
                "outages": [{"after": "1m", "for": "5s"}],
                "price": {"input": 0.1, "output": 0.4},
            },
        )
    )

    assert told.seed == 7
    assert told.models["m"].latency == Latency(0.08, 1.0)
    assert told.models["m"].outages == (Window(60.0, 5.0),)
    assert told.models["m"].price is not None
    assert told.models["m"].price.input == Decimal("0.1")
