"""Which seeds are lived through: all of a file's, in portions, or the one that `--seed` names."""

import pytest

PORTION = 25


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="live through the history of this number alone")
    parser.addoption("--seeds", type=int, default=None, help="how many histories a file lives through")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of `seeds` gets a range of them."""
    if "seeds" not in metafunc.fixturenames:
        return
    seed = metafunc.config.getoption("--seed", default=None)
    if seed is not None:
        metafunc.parametrize("seeds", [range(seed, seed + 1)], ids=[str(seed)])
        return
    count = metafunc.config.getoption("--seeds", default=None) or int(metafunc.module.SEEDS)
    first = int(metafunc.module.FIRST_SEED)
    portions = [
        range(start, min(start + PORTION, first + count)) for start in range(first, first + count, PORTION)
    ]
    metafunc.parametrize(
        "seeds", portions, ids=[f"{portion.start}-{portion.stop - 1}" for portion in portions]
    )
