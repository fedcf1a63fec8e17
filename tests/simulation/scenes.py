"""One scene of an hour or a minute, and what an observer saw of it."""

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from batchroute.core.responses import ErrorType, Outcome
from batchroute.engine.tally import Progress
from tests.builders import PROVIDER, model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, Sent, always, answer, failure

ACCOUNTS = {"p": PROVIDER, "q": PROVIDER}


@dataclass(frozen=True)
class Scene:
    """A run that came to its end, and how it stood twice a second."""

    ran: Ran
    seen: Sequence[tuple[float, Progress]]
    times: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """When a request was sent, by model."""

    def sent(self, model: str, start: float = 0.0, end: float = float("inf")) -> int:
        """How many requests went to a model from one time to another."""
        times = self.times[model]
        return bisect_left(times, end) - bisect_left(times, start)

    def states(self, model: str, start: float = 0.0) -> set[str]:
        """The states a model was ever seen in since a time."""
        return {
            pool.state for at, seen in self.seen for pool in seen.pools if pool.model == model and at >= start
        }

    def first_seen(self, model: str, state: str) -> float:
        """When a model was first seen in a state."""
        return next(
            at for at, seen in self.seen for pool in seen.pools if (pool.model, pool.state) == (model, state)
        )

    def most_within(self, model: str, seconds: float, start: float = 0.0, end: float = float("inf")) -> int:
        """The most requests to a model in any span of so many seconds."""
        times = [at for at in self.times[model] if start <= at < end]
        return max(
            (bisect_right(times, at + seconds - 1e-9) - first for first, at in enumerate(times)), default=0
        )

    def assert_all_answered(self) -> None:
        assert self.ran.results["status"].unique().to_list() == ["succeeded"]
        assert self.ran.ended.pending == 0
        assert self.ran.ended.exit_code == 0


def play(
    folder: Path,
    scripts: Mapping[str, Script],
    *,
    count: int | None = None,
    slots: int | Mapping[str, int] = 10,
    **fields: Any,
) -> Scene:
    """A run over so many records, or those in the folder; models begin with their provider's name, p without."""
    if count is not None:
        write_records(folder / "in.jsonl", records(count))
    each = slots if isinstance(slots, Mapping) else dict.fromkeys(scripts, slots)
    models = {
        name: model(name, provider="q" if name.startswith("q") else "p", limits={"concurrency": each[name]})
        for name in scripts
    }
    seen: list[tuple[float, Progress]] = []
    ran = run_virtually(
        folder,
        scripts=scripts,
        watch=lambda progress: seen.append((asyncio.get_running_loop().time(), progress)),
        **{
            "models": models,
            "providers": ACCOUNTS,
            "routes": {"default": {"models": list(scripts)}},
            **fields,
        },
    )
    times = {name: [sent.at for sent in ran.provider.sent_to(name)] for name in scripts}
    return Scene(ran, seen, times)


def during(start: float, end: float, meanwhile: Script, otherwise: Script) -> Script:
    """One script from one time to another, and another one before and after."""
    return lambda sent: meanwhile(sent) if start <= sent.at < end else otherwise(sent)


def sometimes(share: float, mishap: Script, otherwise: Script, seed: int = 1) -> Script:
    """A mishap now and then."""
    random = Random(seed)
    return lambda sent: mishap(sent) if random.random() < share else otherwise(sent)


def down(error_type: ErrorType = ErrorType.SERVER_ERROR, after_s: float = 0.05) -> Script:
    """Nobody is answered."""
    return always(failure(error_type), after_s)


def fine(latency_s: float = 0.5, spread: float = 0.2, seed: int = 2) -> Script:
    """Everybody is answered, some sooner than others."""
    random = Random(seed)
    return lambda _: (latency_s * random.uniform(1 - spread, 1 + spread), answer())


def limited(retry_after_s: float | None = None) -> Script:
    """Everybody is told to come back later."""
    return always(failure(ErrorType.RATE_LIMITED, retry_after_s=retry_after_s), 0.05)


def crowded(room: int, otherwise: Script) -> Script:
    """Takes so many requests at once, and refuses all others."""

    def script(sent: Sent) -> tuple[float, Outcome]:
        return otherwise(sent) if sent.out <= room else (0.02, failure(ErrorType.RATE_LIMITED))

    return script
