from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.requests import Request, members
from batchroute.job.adaptations import Adaptation
from batchroute.routing.adapters import Adapter
from batchroute.routing.fingerprints import Fingerprints

KNOWN_AS = {
    "a": ("openai", "https://one", "m"),
    "alias": ("openai", "https://one", "m"),
    "b": ("openai", "https://one", "n"),
    "c": ("openai", "https://two", "m"),
}
MESSAGES = b'[{"role":"user","content":"hi"}]'


def request(messages: bytes = MESSAGES, **params: object) -> Request:
    return Request(messages=messages, params=members(params))


def of(asked: Request, *models: str | tuple[str, ...]) -> int:
    return Fingerprints(KNOWN_AS).of(asked, models)


PLAIN = of(request(seed=1, n=1), "a", "b")


@pytest.mark.parametrize(
    ("asked", "models", "same"),
    [
        pytest.param(request(seed=1, n=1), ("a", "b"), True, id="the same"),
        pytest.param(request(n=1, seed=1), ("a", "b"), True, id="parameters in another order"),
        pytest.param(request(seed=1, n=1), ("alias", "b"), True, id="another name for the same model"),
        pytest.param(request(seed=2, n=1), ("a", "b"), False, id="another parameter"),
        pytest.param(request(seed=1), ("a", "b"), False, id="one parameter less"),
        pytest.param(request(), ("a", "b"), False, id="no parameter"),
        pytest.param(request(MESSAGES.replace(b"hi", b"ho"), seed=1, n=1), ("a", "b"), False, id="another text"),
        pytest.param(request(seed=1, n=1), ("b", "a"), False, id="another order of models"),
        pytest.param(request(seed=1, n=1), ("a",), False, id="one model less"),
    ],
)  # fmt: skip
def test_what_tells_two_requests_apart(asked: Request, models: tuple[str, ...], same: bool) -> None:
    assert (of(asked, *models) == PLAIN) is same


GROUP = of(request(seed=1), ("a", "b"), "c")


@pytest.mark.parametrize(
    ("models", "same"),
    [
        pytest.param((("a", "b"), "c"), True, id="the same"),
        pytest.param((("b", "a"), "c"), True, id="another order within the group"),
        pytest.param((("alias", "b"), "c"), True, id="another name for one of the group"),
        pytest.param(("a", "b", "c"), False, id="no group"),
        pytest.param(("c", ("a", "b")), False, id="the group comes last"),
        pytest.param((("a", "b"),), False, id="nothing after the group"),
        pytest.param((("a", "c"), "b"), False, id="another model in the group"),
        pytest.param(("a", "c"), False, id="one of the group alone"),
    ],
)
def test_of_models_that_stand_for_one_another_the_order_is_no_matter(
    models: tuple[str | tuple[str, ...], ...], same: bool
) -> None:
    assert (of(request(seed=1), *models) == GROUP) is same


def test_what_a_model_of_a_group_is_sent_is_part_of_the_fingerprint() -> None:
    adapters = {"b": Adapter(Adaptation.model_validate({"drop": ["seed"]}))}
    adapted = Fingerprints(KNOWN_AS, adapters)

    assert adapted.of(request(seed=1), (("b", "a"), "c")) == adapted.of(request(seed=1), (("a", "b"), "c"))
    assert adapted.of(request(seed=1), (("a", "b"), "c")) != GROUP
    assert adapted.of(request(n=1), (("a", "b"), "c")) == of(request(n=1), ("a", "b"), "c")


def test_a_fingerprint_is_the_same_tomorrow() -> None:
    """It is compared with those that other processes, and other versions, have stored."""
    assert of(request(seed=1, n=1), "a", "b") == TODAY


@pytest.mark.parametrize(
    ("stored", "answers"), [(lambda: TODAY, True), (lambda: EARLIER, True), (lambda: TODAY + 1, False)]
)
def test_an_answer_of_an_earlier_version_is_not_stale(stored: Callable[[], int], answers: bool) -> None:
    """It was stored with a fingerprint of another kind."""
    assert Fingerprints(KNOWN_AS).answers(stored(), request(seed=1, n=1), ("a", "b")) is answers


@pytest.mark.parametrize(
    ("dedupe", "params", "shares"),
    [
        (None, {}, True),
        (None, {"temperature": 0}, True),
        (None, {"temperature": 0.7}, False),
        (True, {"temperature": 0.7}, True),
        (False, {"temperature": 0}, False),
    ],
)
def test_requests_share_an_answer_unless_it_is_drawn(
    dedupe: bool | None, params: dict[str, object], shares: bool
) -> None:
    """A temperature above 0 asks for many answers to one prompt, where the job says nothing else."""
    asked = Request(messages=MESSAGES, params=members(params))
    _, tail = Fingerprints(KNOWN_AS, dedupe=dedupe).digest(asked, ("a",), "", "default")

    assert (tail is not None) is shares


def test_requests_of_two_routes_have_one_fingerprint_and_two_digests() -> None:
    """What a route is called is no matter to an answer, but each route asks of an answer what it likes."""
    prints = Fingerprints(KNOWN_AS, dedupe=None)
    one, other = (prints.digest(request(), ("a",), "", route) for route in ("one", "other"))

    assert one[0] == other[0] == prints.of(request(), ("a",))
    assert one[1] != other[1]


@given(st.binary())
def test_a_fingerprint_fits_into_an_integer_of_sqlite(messages: bytes) -> None:
    assert -(2**63) <= of(request(messages), "a") < 2**63


EARLIER = -4552852200387522472
TODAY = -4527710015817045114


def adapted(asked: Request, **fields: object) -> int:
    """The fingerprint where the second model has an adapter."""
    adapters = {"b": Adapter(Adaptation.model_validate(fields))}
    return Fingerprints(KNOWN_AS, adapters).of(asked, ("a", "b"))


@pytest.mark.parametrize(
    ("fields", "same"),
    [
        pytest.param({}, True, id="an adapter that changes nothing"),
        pytest.param({"drop": ["temperature"]}, True, id="a parameter that is not sent anyway"),
        pytest.param({"rename": {"max_tokens": "max_completion_tokens"}}, True, id="a name that is not used"),
        pytest.param({"drop": ["seed"]}, False, id="a parameter less"),
        pytest.param({"rename": {"seed": "random_seed"}}, False, id="a parameter by another name"),
        pytest.param({"extra": {"top_k": 1}}, False, id="a parameter more"),
        pytest.param({"suffix": "!"}, False, id="other words"),
        pytest.param({"system_role": False}, False, id="system text elsewhere"),
    ],
)
def test_a_request_is_another_when_one_of_its_models_is_sent_another(
    fields: dict[str, object], same: bool
) -> None:
    assert (adapted(request(seed=1, n=1), **fields) == PLAIN) is same
