"""What to do after an attempt: a value, decided by table from what came back.

The table is the whole policy: one row an error type. Nothing here waits, sends or counts.
"""

from enum import StrEnum

from msgspec import Struct

from batchroute.core.responses import ErrorType, Failure, Outcome, Response


class Action(StrEnum):
    """What becomes of the record."""

    ACCEPT = "accept"
    RETRY = "retry"
    FAIL_OVER = "failover"
    ESCALATE = "escalate"
    WAIT = "wait"
    GIVE_UP = "dead_letter"


class Effect(StrEnum):
    """What becomes of the model."""

    NONE = "none"
    FAILED = "failed"
    PAUSE = "pause"
    PAUSE_ALL = "pause_all"
    DISABLE_MODEL = "disable_model"
    DISABLE_PROVIDER = "disable_provider"


class Policy(Struct, frozen=True):
    """The answer to one error type.

    `retries` is how often the same model is tried again before failing over; `dead` ends the record once
    no other model is left to try, where waiting for this one to recover cannot help.
    """

    retries: int
    effect: Effect
    dead: bool = False
    refused: bool = False
    """The model answered and the answer is no use: going on to the next model is an escalation."""
    pause_s: float | None = None
    """How long the model is left alone where the provider names no time, seconds; None: ever longer."""
    strikes: int | None = None
    """As many in a row put the model out for the run: nothing that the job sends gets through to it."""
    by_chance: bool = False
    """The first of this type says nothing of the record nor of the model: the same again at once, uncounted."""
    opinions: int | None = None
    """As many errors of this type end the record: every further model would say the same. None: however many."""
    checked: bool = False
    """The model answered, and a check of the route refused it: no attempt of the few, and no reason to ask it again."""
    repair: bool = False
    """The answer is sent back once, whatever else was tried: that is no load on a model that fails."""


class Elsewhere(StrEnum):
    """When another model of the route could take the record."""

    NOW = "now"
    LATER = "later"
    NEVER = "never"


class Situation(Struct, frozen=True, kw_only=True):
    """What a verdict depends on besides the outcome. It is read after the model was told of the outcome."""

    tries: int
    """Counted attempts of this record on this model, this one included."""
    tries_in_all: int
    """The same over all models of the route."""
    same: int = 1
    """Attempts of this record, on any model, that ended with this error type, this one included."""
    elsewhere: Elsewhere
    usable: bool
    """Whether this model still takes the record: neither ejected, disabled, nor tried enough."""
    affordable: bool = True
    """Whether the model's budget has room for a retry."""
    pause_s: float = 0.0
    """How long the model is paused, seconds."""
    stopping: bool = False
    """Whether the run is stopping: what another run can answer stays pending."""
    own: bool = False
    """Whether it is the record's own parameters that the provider may refuse, not those of the job."""
    repaired: bool = False
    """Whether this model was sent an answer of its own back already."""
    doubtful: bool = False
    """Whether it may as well be the model that fails as the record."""


_UNCOUNTED = frozenset({Effect.PAUSE, Effect.PAUSE_ALL})
_DISABLING = frozenset({Effect.DISABLE_MODEL, Effect.DISABLE_PROVIDER})

LONGEST_OBEYED_S = 900.0
"""A longer wish to be left alone is followed by one request each time this is over."""

MAX_TRIES_PER_MODEL = 3
MAX_TRIES_PER_RECORD = 5
WORTH_WAITING_S = 5.0
"""A rate limited model is waited for up to this long where another one could answer."""

_CONNECT = Policy(2, Effect.FAILED)
_ONCE_MORE = Policy(1, Effect.FAILED)
_NEXT_MODEL = Policy(0, Effect.FAILED)
_ODD_ANSWER = Policy(1, Effect.NONE, dead=True, refused=True)
_WRONG_FORM = Policy(1, Effect.NONE, dead=True, refused=True, repair=True)
_RECORDS_FAULT = Policy(0, Effect.NONE, dead=True)
_FOR_EVERY_MODEL = Policy(0, Effect.NONE, dead=True, opinions=1)
_BAD_REQUEST = Policy(0, Effect.NONE, dead=True, opinions=1, strikes=20)
_OWN_PARAMETERS = Policy(0, Effect.NONE, dead=True)
_ACCOUNT = Policy(0, Effect.DISABLE_PROVIDER)
_PAUSE = Policy(0, Effect.PAUSE)
_OURS = Policy(0, Effect.PAUSE_ALL)

_CHECKED = Policy(0, Effect.NONE, dead=True, refused=True, checked=True)

POLICIES: dict[ErrorType, Policy] = {
    ErrorType.DNS_FAILURE: _CONNECT,
    ErrorType.DNS_TIMEOUT: _CONNECT,
    ErrorType.CONNECT_REFUSED: _CONNECT,
    ErrorType.CONNECT_TIMEOUT: _CONNECT,
    ErrorType.NETWORK_UNREACHABLE: _OURS,
    ErrorType.LOCAL_NETWORK_DOWN: _OURS,
    ErrorType.POOL_EXHAUSTED: Policy(2, Effect.NONE),
    ErrorType.LOCAL_RESOURCE: _OURS,
    ErrorType.TLS_VERIFY_FAILED: _ACCOUNT,
    ErrorType.TLS_HANDSHAKE_FAILED: _ACCOUNT,
    ErrorType.PROXY_AUTH_REQUIRED: _ACCOUNT,
    ErrorType.PROXY_ERROR: _CONNECT,
    ErrorType.WRITE_TIMEOUT: _CONNECT,
    ErrorType.CONNECTION_LOST: _CONNECT,
    ErrorType.STALE_CONNECTION: Policy(0, Effect.NONE, by_chance=True),
    ErrorType.ATTEMPT_TIMEOUT: _ONCE_MORE,
    ErrorType.PROTOCOL_VIOLATION: _CONNECT,
    ErrorType.HEADERS_TOO_LARGE: _ONCE_MORE,
    ErrorType.BODY_TRUNCATED: _CONNECT,
    ErrorType.NOT_JSON: _ONCE_MORE,
    ErrorType.DECODE_FAILED: _ONCE_MORE,
    ErrorType.DECODE_BOMB: Policy(0, Effect.FAILED, dead=True),
    ErrorType.BODY_TOO_LARGE: Policy(0, Effect.FAILED, dead=True),
    ErrorType.BODY_NOT_UTF8: _CONNECT,
    ErrorType.EMPTY_BODY: _ONCE_MORE,
    ErrorType.HTML_BODY: _ONCE_MORE,
    ErrorType.WRONG_SHAPE: _ONCE_MORE,
    ErrorType.NESTING_TOO_DEEP: _ONCE_MORE,
    ErrorType.UNEXPECTED_STREAM: _ONCE_MORE,
    ErrorType.ERROR_IN_200: _ONCE_MORE,
    ErrorType.PROVIDER_ERROR_MID_ANSWER: _CONNECT,
    ErrorType.REDIRECT_REFUSED: _ACCOUNT,
    ErrorType.BAD_REQUEST: _BAD_REQUEST,
    ErrorType.UNPROCESSABLE: _BAD_REQUEST,
    ErrorType.UNSUPPORTED_PARAMETER: Policy(0, Effect.DISABLE_MODEL),
    ErrorType.CONTEXT_EXCEEDED: _RECORDS_FAULT,
    ErrorType.REQUEST_TOO_LARGE: _RECORDS_FAULT,
    ErrorType.BUNDLE_REFUSED: Policy(MAX_TRIES_PER_MODEL, Effect.NONE, by_chance=True),
    ErrorType.REQUEST_EXCEEDS_QUOTA: _RECORDS_FAULT,
    ErrorType.CONTENT_BLOCKED: Policy(0, Effect.NONE, dead=True, refused=True, opinions=2),
    ErrorType.AUTH_REJECTED: _ACCOUNT,
    ErrorType.PERMISSION_DENIED: _ACCOUNT,
    ErrorType.BILLING_EXHAUSTED: _ACCOUNT,
    ErrorType.WAF_BLOCKED: Policy(0, Effect.PAUSE, pause_s=60.0, strikes=3),
    ErrorType.MODEL_NOT_FOUND: Policy(0, Effect.DISABLE_MODEL),
    ErrorType.ENDPOINT_MISMATCH: _ACCOUNT,
    ErrorType.UNEXPECTED_4XX: _FOR_EVERY_MODEL,
    ErrorType.SERVER_TIMEOUT: _CONNECT,
    ErrorType.CONFLICT: _CONNECT,
    ErrorType.OVERLOADED: _NEXT_MODEL,
    ErrorType.ORIGIN_UNREACHABLE: _NEXT_MODEL,
    ErrorType.SERVER_ERROR: _NEXT_MODEL,
    ErrorType.BAD_GATEWAY: _NEXT_MODEL,
    ErrorType.GATEWAY_TIMEOUT: _NEXT_MODEL,
    ErrorType.RATE_LIMITED: _PAUSE,
    ErrorType.SLOW_DOWN: _PAUSE,
    ErrorType.TIER_UNAVAILABLE: _PAUSE,
    ErrorType.CHOICES_MISSING: _ODD_ANSWER,
    ErrorType.MESSAGE_MISSING: _ODD_ANSWER,
    ErrorType.EMPTY_ANSWER: _ODD_ANSWER,
    ErrorType.CONTENT_WRONG_TYPE: _ODD_ANSWER,
    ErrorType.FINISH_UNKNOWN: _ODD_ANSWER,
    ErrorType.UNEXPECTED_TOOL_CALL: _ODD_ANSWER,
    ErrorType.OUTPUT_TRUNCATED: _ODD_ANSWER,
    ErrorType.CHECK_MIN_CHARS: _CHECKED,
    ErrorType.CHECK_CONTAINS: _CHECKED,
    ErrorType.CHECK_LACKS: _CHECKED,
    ErrorType.CHECK_PLACEHOLDERS: _CHECKED,
    ErrorType.CHECK_UNCERTAIN: _CHECKED,
    ErrorType.CHECK_REFUSAL: _CHECKED,
    ErrorType.CHECK_COMPLETE: _CHECKED,
    ErrorType.CHECK_JSON: _CHECKED,
    ErrorType.CHECK_SCHEMA: _CHECKED,
    ErrorType.CHECK_LABELS: _CHECKED,
    ErrorType.CHECK_PYTHON: _CHECKED,
    ErrorType.CHECK_JUDGE: _CHECKED,
    ErrorType.SCHEMA_MISMATCH: _WRONG_FORM,
    ErrorType.UNKNOWN_OUTCOME: _CONNECT,
    ErrorType.CANCELLED_BY_RUN: _CONNECT,
    ErrorType.UNCLASSIFIED: _ONCE_MORE,
}


def effect(outcome: Outcome, *, own: bool = False) -> Effect:
    """What the outcome says of the model; `own` as in Situation."""
    return Effect.NONE if isinstance(outcome, Response) else _policy(outcome, own=own).effect


def _policy(failure: Failure, *, own: bool) -> Policy:
    refuses_parameters = failure.error_type is ErrorType.UNSUPPORTED_PARAMETER
    return _OWN_PARAMETERS if own and refuses_parameters else POLICIES[failure.error_type]


def counts(error_type: ErrorType, same: int) -> bool:
    """Whether an attempt that ended so, the record having `same` of these by now, is one of the few that it has."""
    policy = POLICIES[error_type]
    return policy.effect not in _UNCOUNTED and not (policy.checked or (policy.by_chance and same == 1))


def last_word(failure: Failure) -> bool:
    """Whether a model that failed like this cannot help the record at any later time."""
    return POLICIES[failure.error_type].dead


def blames_record(failure: Failure) -> bool:
    """Whether it is what the record asks, rather than any model, for which it has no answer."""
    policy = POLICIES[failure.error_type]
    its_own = policy.effect is Effect.NONE and policy.dead and not policy.refused
    return its_own or failure.error_type is ErrorType.UNSUPPORTED_PARAMETER  # or it had gone to another model


def repairable(failure: Failure) -> bool:
    """Whether a retry sends the answer back, at once and with what is wrong with it."""
    return POLICIES[failure.error_type].repair


def pause_wished(failure: Failure) -> float | None:
    """How long to leave the model alone, seconds; None where neither the provider nor the policy says."""
    if failure.retry_after_s is not None:
        return min(failure.retry_after_s, LONGEST_OBEYED_S)
    return POLICIES[failure.error_type].pause_s


def struck_out(failure: Failure, in_row: int, *, proven: bool) -> bool:
    """Whether a model is out that failed like this so often in a row. What may be the records' fault is no reason
    once the model has answered: `proven`.
    """
    policy = POLICIES[failure.error_type]
    return policy.strikes is not None and in_row >= policy.strikes and not (policy.dead and proven)


def decide(outcome: Outcome, situation: Situation) -> Action:
    """The verdict on one attempt."""
    if isinstance(outcome, Response):
        return Action.ACCEPT
    policy = _policy(outcome, own=situation.own)
    if policy.checked:
        return Action.GIVE_UP if situation.elsewhere is Elsewhere.NEVER else Action.ESCALATE
    if policy.opinions is not None and situation.same >= policy.opinions:
        return Action.GIVE_UP
    if policy.effect in _UNCOUNTED:
        return _paused(situation)
    if situation.tries_in_all >= MAX_TRIES_PER_RECORD:
        return _last_tried(policy, outcome, situation)
    soon = (situation.affordable or policy.repair) and (outcome.retry_after_s or 0.0) <= WORTH_WAITING_S
    worth_it = outcome.may_retry and (soon or situation.elsewhere is not Elsewhere.NOW)
    if situation.usable and worth_it and _left(policy, situation):
        return Action.RETRY
    if situation.elsewhere is Elsewhere.NOW:
        return Action.ESCALATE if policy.refused else Action.FAIL_OVER
    return _nowhere_else(policy, outcome, situation)


def _left(policy: Policy, situation: Situation) -> bool:
    """Whether the same model is due another try, if it is worth one."""
    if policy.repair:
        return not situation.repaired and situation.tries < MAX_TRIES_PER_MODEL
    return situation.tries <= policy.retries


def _paused(situation: Situation) -> Action:
    patient = situation.elsewhere is not Elsewhere.NOW or situation.pause_s <= WORTH_WAITING_S
    return Action.WAIT if patient else Action.FAIL_OVER


def _nowhere_else(policy: Policy, outcome: Failure, situation: Situation) -> Action:
    """The record stays with this model, waits for one to recover, or ends."""
    if policy.dead:
        return Action.WAIT if situation.elsewhere is Elsewhere.LATER else Action.GIVE_UP
    if outcome.may_retry and situation.usable and situation.tries < MAX_TRIES_PER_MODEL:
        return Action.RETRY
    comes_back = not situation.usable and policy.effect is Effect.FAILED
    for_the_next_run = situation.stopping or policy.effect in _DISABLING
    if comes_back or for_the_next_run or situation.elsewhere is Elsewhere.LATER:
        return Action.WAIT
    return _last_tried(policy, outcome, situation)


def _last_tried(policy: Policy, outcome: Failure, situation: Situation) -> Action:
    """A record without a try left ends, unless it may be that its models are down: then it comes back late, as long
    as that costs nothing.
    """
    down = policy.effect is Effect.FAILED and outcome.may_retry and situation.doubtful
    return Action.RETRY if down and not outcome.sent else Action.GIVE_UP
