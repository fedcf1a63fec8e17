"""Answers of earlier runs: found before a record is sent, kept once a result is committed."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from msgspec import json, structs

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.errors import OutputError, OutputLockedError
from batchroute.core.requests import Request
from batchroute.core.responses import Response
from batchroute.core.results import Result, Status
from batchroute.engine import entries
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.deliveries import Deliveries
from batchroute.engine.pools import Pool, PoolSpec
from batchroute.engine.trails import Admitted
from batchroute.io.answers import Answers, Damage, Kept, opened
from batchroute.io.locks import locked
from batchroute.job.caches import Cache as Declared
from batchroute.routing.routes import RouteRule

DIGEST_BYTES: Final = 16
KEPT_AT_ONCE: Final = 4096
"""Answers that wait to be written at most; more than these come only from a disk that cannot follow, and are let go."""
WRITE_INTERVAL_S: Final = 0.2
COMPLETE: Final = "stop"
LAST_RESORT: Final = "last_resort"


class Cache:
    """The answers that a job's cache holds, as one run sees them. It never fails a run: it is left out instead.

    A key is a digest of the whole body that a model gets, of the kind and URL of its provider, and of its name there.
    """

    def __init__(
        self,
        declared: Declared,
        *,
        run_id: str,
        pools: Mapping[str, Pool],
        rules: Sequence[RouteRule],
        known_as: Callable[[str], object],
        commits: Commits,
        clock: Clock,
        reads: bool,
        last_resorts: Collection[str] = (),
    ) -> None:
        """`reads`: whether answers are looked for; they are kept in any case. `last_resorts` are the routes whose
        records get an old answer rather than none: for them what is too old is kept as long as there is room.
        """
        self._last_resorts = frozenset(last_resorts)
        self._declared, self._run_id, self._pools = declared, run_id, pools
        self._rules = {rule.name: rule for rule in rules}
        self._begun = {
            model: hashlib.blake2b(json.encode(known_as(model)), digest_size=DIGEST_BYTES) for model in pools
        }
        self._clock, self._reads = clock, reads
        self._blanks: dict[tuple[str, str], Attempt] = {}
        self._new: list[tuple[bytes, Kept]] = []
        self._due = asyncio.Event()
        self._turn = asyncio.Lock()
        self._warnings: list[str] = []
        self.deliveries = Deliveries(commits)
        self._closing = ExitStack()
        self._answers = self._opened(declared.path)

    def _opened(self, directory: Path) -> Answers | None:
        try:
            self._closing.enter_context(locked(directory))
            answers, warning = opened(directory)
        except OutputLockedError:
            self._warn(f"{directory} is held by another run; this one goes on without it")
            return None
        except (OutputError, *Damage) as error:
            self._closing.close()
            self._warn(f"{directory}: {_reason(error)}; this run goes on without it")
            return None
        if warning is not None:
            self._warn(warning)
        return answers

    def remarks(self) -> tuple[str, ...]:
        """What a person should know of it."""
        return tuple(self._warnings)

    def _warn(self, text: str) -> None:
        self._warnings.append(f"cache: {text} [cache]")

    def _leave_out(self, error: Exception) -> None:
        """Go on without it, and say so once."""
        if self._answers is not None:
            self._answers, self._new = None, []
            self._warn(f"{self._declared.path}: {_reason(error)}; the rest of this run went on without it")

    # Before a record is sent

    async def unanswered(self, records: list[Admitted]) -> list[Admitted]:
        """Bring the records to their results that a model of their first choice has answered, and give the others."""
        if self._answers is None or not self._reads:
            return records
        asked = [(record, self._first_asked(record)) for record in records]
        found = await self._find([key for _, keys in asked for key in keys], self._oldest)
        left = []
        for record, keys in asked:
            key = next((key for key in keys if key in found), None)
            if key is None:
                left.append(record)
            else:
                self._answer(record, self._pools[keys[key]].spec, found[key])
        return left

    def _first_asked(self, record: Admitted) -> dict[bytes, str]:
        """The models that are its first choice, by the key of what they would be asked."""
        if not record.models:
            return {}
        first = self._rules[record.route].tried(record.models)[0]
        return {
            self._key(model, record.request): model
            for model in ((first,) if isinstance(first, str) else first)
        }

    def _key(self, model: str, request: Request) -> bytes:
        pool, digest = self._pools[model], self._begun[model].copy()
        digest.update(pool.asked(request).body(pool.spec.request_model))
        return digest.digest()

    @property
    def _oldest(self) -> float:
        return self._clock.wall() - self._declared.ttl

    async def _find(self, keys: list[bytes], since: float) -> dict[bytes, Kept]:
        if self._answers is None or not keys:
            return {}
        async with self._turn:
            try:
                return await asyncio.to_thread(self._answers.find, keys, since)
            except Damage as error:
                self._leave_out(error)
                return {}

    def _answer(self, record: Admitted, spec: PoolSpec, kept: Kept) -> None:
        attempt = self._attempt(record, spec, kept)
        result = entries.recalled(record, attempt, kept.content)
        self.deliveries.deliver(record.seq, attempt, result)

    def _attempt(self, record: Admitted, spec: PoolSpec, kept: Kept) -> Attempt:
        """The line of the ledger: no request, so that it has the number 0, no tokens and no time."""
        return structs.replace(
            self._blank(record.route, spec),
            record_id=record.record_id,
            task=record.labels.task,
            complexity=record.labels.complexity,
            started_at=self._clock.wall(),
            response_model=kept.response_model,
            finish_reason=kept.finish_reason,
        )

    def _blank(self, route: str, spec: PoolSpec) -> Attempt:
        blank = self._blanks.get((route, spec.model))
        if blank is None:
            blank = self._blanks[route, spec.model] = structs.replace(
                entries.blank_attempt(self._run_id, route, spec),
                outcome="ok",
                verdict="accept",
                error_type=None,
                cost=0,
                cost_basis=CostBasis.CACHE,
            )
        return blank

    # Where no model answers

    async def last_resort(self, record: Admitted, dead: Result) -> Result:
        """What the record gets in the place of this dead letter: the answer of any model of its route, however old."""
        if record.route not in self._last_resorts or not self._reads:
            return dead
        keys = {self._key(model, record.request): model for model in record.models}
        found = await self._find(list(keys), 0.0)
        key = next((key for key in keys if key in found), None)
        if key is None:
            return dead
        return structs.replace(
            dead,
            status=Status.DEGRADED,
            model=keys[key],
            provider=self._pools[keys[key]].spec.provider,
            response=found[key].content,
            finish_reason=found[key].finish_reason,
            flag=LAST_RESORT,
            fingerprint=record.fingerprint,
        )

    # After a result is committed

    def keep(self, model: str, request: Request, response: Response) -> None:
        """Keep an answer that was accepted, unless something about it is odd. `request` is the record's."""
        complete = response.finish_reason == COMPLETE and response.flag is None
        if self._answers is None or not complete or len(self._new) >= KEPT_AT_ONCE:
            return
        kept = Kept(response.content, response.finish_reason, response.usage, response.response_model)
        self._new.append((self._key(model, request), kept))
        self._due.set()

    async def write_regularly(self) -> None:
        """Write what was kept, some hundred answers at a time, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            async with self._turn:
                new, self._new = self._new, []  # here: a thread could miss what comes while it takes the list
                if self._answers is not None:
                    await asyncio.to_thread(self._write, self._answers, new)
            await asyncio.sleep(WRITE_INTERVAL_S)

    def _write(self, answers: Answers, new: list[tuple[bytes, Kept]]) -> None:
        try:
            if new:
                answers.keep(new, self._clock.wall())
        except Damage as error:
            self._leave_out(error)

    def close(self) -> None:
        """Write the rest, drop what is too old or too much, and let the next run have it."""
        with self._closing, suppress(*Damage):
            if self._answers is not None:
                answers, self._answers = self._answers, None
                try:
                    if self._new:
                        answers.keep(self._new, self._clock.wall())
                    answers.prune(
                        0.0 if self._last_resorts else self._oldest, self._declared.max_mb * 1_000_000
                    )
                finally:
                    answers.close()


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")
