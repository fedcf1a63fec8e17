import pytest

from batchroute.core.responses import ErrorType
from batchroute.routing.verdicts import (
    POLICIES,
    Action,
    Effect,
    Elsewhere,
    Situation,
    blames_record,
    counts,
    decide,
    effect,
    struck_out,
)
from tests.fakes import answer, failure


def situation(
    tries: int = 1,
    *,
    tries_in_all: int | None = None,
    elsewhere: Elsewhere = Elsewhere.NOW,
    usable: bool = True,
    pause_s: float = 0.0,
    same: int = 1,
) -> Situation:
    return Situation(
        tries=tries,
        tries_in_all=tries if tries_in_all is None else tries_in_all,
        elsewhere=elsewhere,
        usable=usable,
        pause_s=pause_s,
        same=same,
    )


def test_every_error_type_has_a_policy() -> None:
    assert set(POLICIES) == set(ErrorType)


def test_an_answer_is_accepted() -> None:
    assert decide(answer(), situation()) is Action.ACCEPT
    assert effect(answer()) is Effect.NONE


@pytest.mark.parametrize(
    ("error_type", "given", "expected"),
    [
        pytest.param(ErrorType.CONNECT_REFUSED, situation(1), Action.RETRY, id="A3 first"),
        pytest.param(ErrorType.CONNECT_REFUSED, situation(2), Action.RETRY, id="A3 second"),
        pytest.param(ErrorType.CONNECT_REFUSED, situation(3), Action.FAIL_OVER, id="A3 third"),
        pytest.param(ErrorType.ATTEMPT_TIMEOUT, situation(1), Action.RETRY, id="A23 once more"),
        pytest.param(ErrorType.ATTEMPT_TIMEOUT, situation(2), Action.FAIL_OVER, id="A23 twice"),
        pytest.param(ErrorType.OVERLOADED, situation(1), Action.FAIL_OVER, id="A72 another model at once"),
        pytest.param(
            ErrorType.OVERLOADED,
            situation(1, elsewhere=Elsewhere.NEVER),
            Action.RETRY,
            id="A72 no other model: retry",
        ),
        pytest.param(
            ErrorType.OVERLOADED,
            situation(3, elsewhere=Elsewhere.NEVER),
            Action.GIVE_UP,
            id="A72 no other model, tries used up",
        ),
        pytest.param(
            ErrorType.OVERLOADED,
            situation(0, elsewhere=Elsewhere.NEVER, usable=False),
            Action.WAIT,
            id="ejected: the record waits for it",
        ),
        pytest.param(
            ErrorType.SERVER_ERROR,
            situation(3, elsewhere=Elsewhere.LATER),
            Action.WAIT,
            id="another model recovers later",
        ),
        pytest.param(ErrorType.BAD_REQUEST, situation(1), Action.GIVE_UP, id="A55 the record's own fault"),
        pytest.param(ErrorType.CONTEXT_EXCEEDED, situation(1), Action.FAIL_OVER, id="A58 larger context"),
        pytest.param(
            ErrorType.CONTEXT_EXCEEDED,
            situation(1, elsewhere=Elsewhere.NEVER),
            Action.GIVE_UP,
            id="A58 no larger context",
        ),
        pytest.param(ErrorType.RATE_LIMITED, situation(0, pause_s=2), Action.WAIT, id="A78 a short pause"),
        pytest.param(
            ErrorType.RATE_LIMITED, situation(0, pause_s=60), Action.FAIL_OVER, id="A78 a long pause"
        ),
        pytest.param(
            ErrorType.RATE_LIMITED,
            situation(0, pause_s=60, elsewhere=Elsewhere.LATER),
            Action.WAIT,
            id="A78 a long pause, nothing else",
        ),
        pytest.param(ErrorType.STALE_CONNECTION, situation(0), Action.RETRY, id="A22 a fresh connection"),
        pytest.param(ErrorType.STALE_CONNECTION, situation(1), Action.FAIL_OVER, id="A22 twice"),
        pytest.param(ErrorType.CONTENT_BLOCKED, situation(1), Action.ESCALATE, id="A61 another opinion"),
        pytest.param(
            ErrorType.CONTENT_BLOCKED, situation(1, tries_in_all=2, same=2), Action.GIVE_UP, id="A61 the same"
        ),
        pytest.param(ErrorType.EMPTY_ANSWER, situation(1), Action.RETRY, id="A85 once more"),
        pytest.param(ErrorType.EMPTY_ANSWER, situation(2), Action.ESCALATE, id="A85 a better model"),
        pytest.param(
            ErrorType.EMPTY_ANSWER,
            situation(2, elsewhere=Elsewhere.NEVER),
            Action.GIVE_UP,
            id="A85 no better model",
        ),
        pytest.param(ErrorType.AUTH_REJECTED, situation(1, usable=False), Action.FAIL_OVER, id="A63"),
        pytest.param(
            ErrorType.AUTH_REJECTED,
            situation(1, usable=False, elsewhere=Elsewhere.NEVER),
            Action.WAIT,
            id="A63 the only model: another run can answer it",
        ),
        pytest.param(ErrorType.CHECK_JSON, situation(0), Action.ESCALATE, id="refused: the next model"),
        pytest.param(
            ErrorType.CHECK_JSON,
            situation(0, tries_in_all=5, elsewhere=Elsewhere.LATER),
            Action.ESCALATE,
            id="refused: the next model as soon as it can, whatever failed before",
        ),
        pytest.param(
            ErrorType.CHECK_JSON,
            situation(0, elsewhere=Elsewhere.NEVER),
            Action.GIVE_UP,
            id="refused by the last model",
        ),
        pytest.param(
            ErrorType.SERVER_ERROR, situation(1, tries_in_all=5), Action.GIVE_UP, id="five tries are enough"
        ),
    ],
)
def test_verdicts(error_type: ErrorType, given: Situation, expected: Action) -> None:
    assert decide(failure(error_type), given) is expected


@pytest.mark.parametrize(
    ("error_type", "expected"),
    [
        (ErrorType.SERVER_ERROR, Effect.FAILED),
        (ErrorType.RATE_LIMITED, Effect.PAUSE),
        (ErrorType.MODEL_NOT_FOUND, Effect.DISABLE_MODEL),
        (ErrorType.BILLING_EXHAUSTED, Effect.DISABLE_PROVIDER),
        (ErrorType.BAD_REQUEST, Effect.NONE),
        (ErrorType.STALE_CONNECTION, Effect.NONE),
        (ErrorType.EMPTY_ANSWER, Effect.NONE),
    ],
)
def test_what_a_failure_says_of_the_model(error_type: ErrorType, expected: Effect) -> None:
    assert effect(failure(error_type)) is expected


def test_a_transient_failure_never_ends_a_record_while_its_model_is_ejected() -> None:
    for error_type, policy in POLICIES.items():
        if policy.effect is Effect.FAILED and not policy.dead:
            verdict = decide(failure(error_type), situation(0, elsewhere=Elsewhere.NEVER, usable=False))
            assert verdict is Action.WAIT


def test_what_passes_by_chance_counts_from_the_second_time_on() -> None:
    assert [counts(ErrorType.STALE_CONNECTION, same) for same in (1, 2, 3)] == [False, True, True]
    assert [counts(ErrorType.SERVER_ERROR, same) for same in (1, 2)] == [True, True]
    assert not counts(ErrorType.RATE_LIMITED, 5)


@pytest.mark.parametrize(
    ("error_type", "in_row", "proven", "out"),
    [
        (ErrorType.WAF_BLOCKED, 2, False, False),
        (ErrorType.WAF_BLOCKED, 3, True, True),
        (ErrorType.BAD_REQUEST, 19, False, False),
        (ErrorType.UNPROCESSABLE, 20, False, True),
        (ErrorType.BAD_REQUEST, 500, True, False),
        (ErrorType.SERVER_ERROR, 500, False, False),
    ],
)
def test_a57_a66_what_nothing_gets_through_to_is_out(
    error_type: ErrorType, in_row: int, proven: bool, out: bool
) -> None:
    assert struck_out(failure(error_type), in_row, proven=proven) is out


@pytest.mark.parametrize("error_type", [kind for kind, policy in POLICIES.items() if policy.checked])
def test_refused_answer_is_no_try_and_no_fault_of_anybody(error_type: ErrorType) -> None:
    assert not counts(error_type, 1)
    assert effect(failure(error_type)) is Effect.NONE
    assert not blames_record(failure(error_type))


@pytest.mark.parametrize(
    ("error_type", "expected"),
    [
        (ErrorType.BAD_REQUEST, True),
        (ErrorType.CONTEXT_EXCEEDED, True),
        (ErrorType.UNSUPPORTED_PARAMETER, True),
        (ErrorType.CONTENT_BLOCKED, False),
        (ErrorType.SERVER_ERROR, False),
        (ErrorType.EMPTY_ANSWER, False),
        (ErrorType.AUTH_REJECTED, False),
        (ErrorType.BODY_TOO_LARGE, False),
    ],
)
def test_record_is_blamed_for_what_it_asks_alone(error_type: ErrorType, expected: bool) -> None:
    assert blames_record(failure(error_type)) is expected
