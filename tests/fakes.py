"""Other implementations of our protocols: a provider that answers from a script, and a clock for a virtual loop."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response, Usage
from batchroute.engine.clock import Clock
from batchroute.job.jobs import Job

EPOCH = 1_800_000_000.0
TICK_S = 1e-9
Script = Callable[["Sent"], tuple[float, Outcome]]


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as the scripted provider sees it.

    `number` counts those to the same model from 1, `out` is how many of them are out, this one included.
    """

    model: str
    request: Request
    number: int
    at: float
    out: int


def answer(content: str = "fine", *, input_tokens: int = 10, output_tokens: int = 5) -> Response:
    """A plain answer with its usage."""
    return Response(
        content=content,
        finish_reason="stop",
        usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens),
        response_model=None,
        response_id=None,
    )


def failure(error_type: ErrorType, *, sent: bool = False, retry_after_s: float | None = None) -> Failure:
    """A failure of this type; refused by the provider unless told otherwise."""
    return Failure(
        error_type=error_type,
        message=f"scripted {error_type}",
        sent=sent,
        http_status=500,
        retry_after_s=retry_after_s,
    )


def always(outcome: Outcome, latency_s: float = 0.1) -> Script:
    """The same outcome for every request."""
    return lambda _: (latency_s, outcome)


@dataclass
class ScriptedProvider:
    """Answers by script and keeps a log of what was sent, and how many requests were out at once."""

    scripts: Mapping[str, Script]
    log: list[Sent] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)
    in_flight: Counter[str] = field(default_factory=Counter)
    most_in_flight: Counter[str] = field(default_factory=Counter)
    ended: list[tuple[str, float]] = field(default_factory=list)
    closed: bool = False

    async def send(self, request: Request, model: str, *, timeout_s: float) -> Outcome:
        self.sent[model] += 1
        self.in_flight[model] += 1
        now = asyncio.get_running_loop().time()
        sent = Sent(model, request, self.sent[model], now, self.in_flight[model])
        self.log.append(sent)
        self.most_in_flight[model] = max(self.most_in_flight[model], self.in_flight[model])
        try:
            latency_s, outcome = self.scripts[model](sent)
            await asyncio.sleep(min(latency_s, timeout_s))
            if latency_s > timeout_s:
                return failure(ErrorType.ATTEMPT_TIMEOUT, sent=True)
            return outcome
        finally:
            self.in_flight[model] -= 1
            self.ended.append((model, asyncio.get_running_loop().time()))

    async def close(self) -> None:
        self.closed = True

    def sent_to(self, model: str) -> list[Sent]:
        return [sent for sent in self.log if sent.model == model]

    @asynccontextmanager
    async def connect(self, job: Job) -> AsyncIterator[Mapping[str, "ScriptedProvider"]]:
        """Stands for every provider of the job."""
        yield dict.fromkeys(job.providers, self)
        await self.close()


def virtual_clock(seed: int = 0) -> Clock:
    """Wall time that moves with the running loop's, and chance from a seed."""

    ticks = itertools.count()

    def now() -> float:
        return (
            asyncio.get_running_loop().time() + next(ticks) * TICK_S
        )  # as a real clock, never twice the same

    return Clock(wall=lambda: EPOCH + asyncio.get_running_loop().time(), now=now, random=Random(seed))
