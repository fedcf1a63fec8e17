"""What a run does about an outcome, as the verdict table has it: told in one value, so that a case can name it."""

from dataclasses import dataclass
from typing import Final

from batchroute.core.responses import Failure, Outcome, Response
from batchroute.routing.verdicts import (
    Action,
    Effect,
    Elsewhere,
    Situation,
    counts,
    decide,
    effect,
    pause_wished,
)

FIRST_PAUSE_S: Final = 1.0  # of a pool whose provider names no time


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of the model; the verdicts of one record on it, beside a usable other model and alone."""

    effect: Effect
    beside: str
    alone: str


ACCEPT: Final = Decision(Effect.NONE, "accept", "accept")
RETRY: Final = Decision(Effect.FAILED, "retry retry failover", "retry retry dead_letter")
RETRY_ONCE: Final = Decision(Effect.FAILED, "retry failover", "retry retry dead_letter")
ONCE_FOR_NOTHING: Final = Decision(Effect.NONE, "retry failover", "retry retry retry dead_letter")
RETRY_UNHARMED: Final = Decision(Effect.NONE, "retry retry failover", "retry retry dead_letter")
ASK_AGAIN: Final = Decision(Effect.NONE, "retry escalate", "retry dead_letter")
FAIL_OVER: Final = Decision(Effect.FAILED, "failover", "retry retry dead_letter")
FAIL_OVER_ONLY: Final = Decision(Effect.FAILED, "failover", "dead_letter")  # x-should-retry: false
LARGER_MODEL: Final = Decision(Effect.NONE, "failover", "dead_letter")
OTHER_MODEL: Final = Decision(Effect.NONE, "escalate", "dead_letter")
NO_MORE: Final = Decision(Effect.FAILED, "failover", "dead_letter")
PAUSE: Final = Decision(Effect.PAUSE, "wait", "wait")
PAUSE_ALL: Final = Decision(Effect.PAUSE_ALL, "wait", "wait")
LONG_PAUSE: Final = Decision(Effect.PAUSE, "failover", "wait")
DISABLE: Final = Decision(Effect.DISABLE_PROVIDER, "failover", "wait")
DISABLE_MODEL: Final = Decision(Effect.DISABLE_MODEL, "failover", "wait")
DEAD: Final = Decision(Effect.NONE, "dead_letter", "dead_letter")


def decision(outcome: Outcome) -> Decision:
    """The decision that the verdict table takes if every attempt on this model ends like this one."""
    return Decision(effect(outcome), _verdicts(outcome, Elsewhere.NOW), _verdicts(outcome, Elsewhere.NEVER))


def money(outcome: Outcome) -> str:
    """What the cost of an attempt is computed from, in the ledger's words."""
    if outcome.usage is not None:
        return "usage"
    return "none" if isinstance(outcome, Failure) and not outcome.sent else "upper_bound"


def word(outcome: Outcome) -> str | None:
    """The error type of a failure, the flag of an answer."""
    return outcome.flag if isinstance(outcome, Response) else outcome.error_type


def _verdicts(outcome: Outcome, elsewhere: Elsewhere) -> str:
    disabled = effect(outcome) in {Effect.DISABLE_MODEL, Effect.DISABLE_PROVIDER}
    wish_s = pause_wished(outcome) if isinstance(outcome, Failure) else None
    given: list[Action] = []
    tries = 0
    while not given or given[-1] is Action.RETRY:
        same = len(given) + 1
        tries += isinstance(outcome, Failure) and counts(outcome.error_type, same)
        situation = Situation(
            tries=tries,
            tries_in_all=tries,
            same=same,
            elsewhere=elsewhere,
            usable=not disabled,
            pause_s=FIRST_PAUSE_S if wish_s is None else wish_s,
            stopping=disabled and elsewhere is Elsewhere.NEVER,  # the last model is out: the run stops
        )
        given.append(decide(outcome, situation))
    return " ".join(given)
