"""Which parameters of a request are probably misspelt."""

import pytest

from batchroute.job.parameters import misspelt


@pytest.mark.parametrize(
    ("name", "meant"),
    [("temprature", "temperature"), ("max_tokns", "max_tokens"), ("Top_P", "top_p"), ("stopp", "stop")],
)
def test_one_that_is_spelled_nearly_as_a_known_one(name: str, meant: str) -> None:
    assert misspelt([name]) == [(name, meant)]


def test_known_ones_and_those_that_are_like_none() -> None:
    """A server of one's own may take what it likes."""
    assert (
        misspelt(["temperature", "max_tokens", "seed", "top_n", "top_n_sigma", "guided_json", "dry_run", "x"])
        == []
    )
