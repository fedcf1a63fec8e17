"""Auto names as tables of models."""

import pytest

from batchroute.job.auto_names import AutoName
from batchroute.routing.rankings import Merit, ranked
from batchroute.routing.strategies import Groups, Strategy

CODER = Merit(model="coder", price=300, strengths=frozenset({"code"}), quality=60)
LARGE = Merit(model="large", price=900, quality=95)
MINI = Merit(model="mini", price=100)
DEAR = Merit(model="dear", price=500)
LOCAL = Merit(model="local", price=0)
SECRET = Merit(model="secret")
ALL = (MINI, CODER, SECRET, LOCAL, DEAR, LARGE)

BY_QUALITY = (("large",), ("coder",), ("dear",), ("mini",), ("local",), ("secret",))
CODER_FIRST = (("coder",), ("large",), ("dear",), ("mini",), ("local",), ("secret",))


@pytest.mark.parametrize(
    ("name", "task", "groups", "strategy"),
    [
        pytest.param(AutoName.BEST, None, BY_QUALITY, Strategy.ORDERED, id="best"),
        pytest.param(AutoName.BEST, "chat", BY_QUALITY, Strategy.ORDERED, id="best-for-no-strength"),
        pytest.param(AutoName.BEST, "code", CODER_FIRST, Strategy.ORDERED, id="best-for-a-strength"),
        pytest.param(AutoName.CODE, "chat", CODER_FIRST, Strategy.ORDERED, id="code"),
        pytest.param(AutoName.FREE, None, (("local",),), Strategy.ORDERED, id="free"),
        pytest.param(
            AutoName.CHEAP,
            None,
            (("mini", "coder", "local", "dear", "large"), ("secret",)),
            Strategy.CHEAPEST,
            id="cheap-is-found-out-by-record-and-an-unknown-price-comes-last",
        ),
        pytest.param(
            AutoName.FAST,
            None,
            (("mini", "coder", "secret", "local", "dear", "large"),),
            Strategy.FASTEST,
            id="fast",
        ),
    ],
)
def test_auto_name_stands_for(name: AutoName, task: str | None, groups: Groups, strategy: Strategy) -> None:
    assert ranked(name, ALL, task) == (groups, strategy)


def test_nothing_is_free_where_no_price_is_nought() -> None:
    assert ranked(AutoName.FREE, (MINI, SECRET))[0] == ()


def test_unpriced_models_alone_are_tried_as_declared() -> None:
    assert ranked(AutoName.CHEAP, (SECRET, Merit(model="other")))[0] == (("secret",), ("other",))
