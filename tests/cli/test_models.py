"""`batchroute models`: the shipped price list, as text and as JSON."""

import json
import subprocess
import sys

import pytest


def models(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "batchroute.cli.main", "models", *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def listed(*options: str) -> list[dict[str, object]]:
    done = models("--json", *options)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["unit"] == "USD per million tokens"
    return list(found["models"])


def test_every_model_has_a_day_and_a_price_or_null() -> None:
    found = listed()

    assert len(found) > 1000
    assert all(set(one) == {"provider", "model", "price", "context", "on"} for one in found)
    unknown = [one for one in found if one["price"] is None]
    assert 0 < len(unknown) < len(found) / 2


@pytest.mark.parametrize(
    ("by", "key"),
    [
        ("price", lambda one: one["price"]["input"] + one["price"]["output"] if one["price"] else None),
        ("context", lambda one: None if one["context"] is None else -one["context"]),
        ("name", lambda one: one["model"]),
    ],
)
def test_unknown_comes_last_in_every_order(by: str, key: object) -> None:
    assert callable(key)
    keys = [key(one) for one in listed("--provider", "openai", "--sort", by)]

    known = [each for each in keys if each is not None]
    assert known == sorted(known)
    assert keys == known + [None] * (len(keys) - len(known))


def test_the_table_says_unit_and_day() -> None:
    done = models("--provider", "anthropic")

    head, *rows, last = done.stdout.splitlines()
    assert head.split() == ["provider", "model", "input", "output", "cached", "written", "batch", "context"]
    assert all(row.startswith("anthropic ") for row in rows)
    assert last.startswith(f"{len(rows)} models. USD per million tokens on 20")


def test_an_unknown_provider_is_a_mistake_of_usage() -> None:
    done = models("--provider", "opena")

    assert done.returncode == 2
    assert "did you mean openai? [price_provider]" in done.stderr
