"""Answers of earlier runs: found before a record is sent, kept once a result is entered."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from msgspec import json, structs

from batchroute.core.errors import OutputError, OutputLockedError
from batchroute.core.responses import Response
from batchroute.engine.clock import Clock
from batchroute.engine.pools import Pool
from batchroute.engine.trails import Admitted, Old
from batchroute.io.answers import Answers, Damage, Kept, opened
from batchroute.io.locks import locked
from batchroute.job.caches import Cache as Declared
from batchroute.job.checks import Judge
from batchroute.routing.checks import Checks
from batchroute.routing.forms import Formed
from batchroute.routing.routes import RouteRule

DIGEST_BYTES: Final = 16
KEPT_AT_ONCE: Final = 4096
"""Answers that wait to be written at most; more than these come only from a disk that cannot follow, and are let go."""
WRITE_INTERVAL_S: Final = 0.2
COMPLETE: Final = "stop"

Recall = Callable[[Admitted, str, Response], None]
"""Brings a record to its result with the answer of this model."""


class Cache:
    """The answers that a job's cache holds, as one run sees them. It never fails a run: it is left out instead.

    A key is a digest of the whole body that a model gets, of the kind and URL of its provider, and of its name there;
    on a route with a judge, of that one, too, as it alone has accepted the answer. All else that a route demands of an
    answer, the ones that are found have to stand.
    """

    def __init__(
        self,
        declared: Declared,
        *,
        pools: Mapping[str, Pool],
        rules: Sequence[RouteRule],
        forms: Mapping[str, Formed],
        checks: Mapping[str, Checks],
        known_as: Callable[[str], object],
        clock: Clock,
        reads: bool,
        outlasting: bool,
    ) -> None:
        """`reads`: whether answers are looked for; they are kept in any case. `outlasting`: what is too old stays as
        long as there is room, as it is the last resort of some records.
        """
        self._declared, self._pools = declared, pools
        self._rules = {rule.name: rule for rule in rules}
        self._forms, self._checks, self._known_as = forms, checks, known_as
        self._clock, self._reads, self._outlasting = clock, reads, outlasting
        self._begun: dict[tuple[str, str], hashlib.blake2b] = {}
        self._new: list[tuple[bytes, Kept]] = []
        self._due = asyncio.Event()
        self._warnings: list[str] = []
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
            self._answers.close()
            self._answers, self._new = None, []
            self._warn(f"{self._declared.path}: {_reason(error)}; the rest of this run went on without it")

    # Before a record is sent

    async def unanswered(self, records: list[Admitted], recall: Recall) -> list[Admitted]:
        """Bring the records to their results that a model of their first choice has answered, and give the others."""
        if self._answers is None or not self._reads:
            return records
        asked = [(record, self._first_asked(record)) for record in records]
        found = await self._find({key for _, keys in asked for key in keys}, self._oldest)
        left = []
        for record, keys in asked:
            hit = next(self._good(record, keys, found), None) if found else None
            if hit is None:
                left.append(record)
            else:
                recall(record, *hit)
        return left

    async def old_answer(self, record: Admitted) -> Old | None:
        """The answer of any model of its route to what the record asks, however old."""
        if not self._reads:
            return None
        keys = {self._key(record, model): model for model in record.models}
        found = await self._find(keys, 0.0)
        for model, response in self._good(record, keys, found):
            return Old(model, self._pools[model].spec.provider, response)
        return None

    def _first_asked(self, record: Admitted) -> dict[bytes, str]:
        """The models that are its first choice, by the key of what they would be asked."""
        if not record.models:
            return {}
        first = self._rules[record.route].alternatives(record.models)
        return {self._key(record, model): model for model in first}

    def _key(self, record: Admitted, model: str) -> bytes:
        pool, form = self._pools[model], self._forms.get(record.route)
        asked = pool.asked(record.request if form is None else form.asked(record.request, model))
        begun = self._begun.get((record.route, model)) or self._begin(record.route, model)
        digest = begun.copy()
        digest.update(asked.body(pool.spec.request_model))
        return digest.digest()

    def _begin(self, route: str, model: str) -> hashlib.blake2b:
        checks = self._checks.get(route)
        judge = None if checks is None or checks.judge is None else self._told(checks.judge)
        told = json.encode([self._known_as(model), judge])
        begun = self._begun[route, model] = hashlib.blake2b(told, digest_size=DIGEST_BYTES)
        return begun

    def _told(self, judge: Judge) -> object:
        return [self._known_as(judge.model), judge.rubric, judge.threshold]

    @property
    def _oldest(self) -> float:
        return self._clock.wall() - self._declared.ttl

    async def _find(self, keys: Collection[bytes], since: float) -> dict[bytes, Kept]:
        if self._answers is None or not keys:
            return {}
        try:
            return await asyncio.to_thread(self._answers.find, list(keys), since)
        except Damage as error:
            self._leave_out(error)
            return {}

    def _good(
        self, record: Admitted, keys: Mapping[bytes, str], found: Mapping[bytes, Kept]
    ) -> Iterator[tuple[str, Response]]:
        """Of what was found for a record, what its route would accept: by whom, and the answer."""
        for key, model in keys.items():
            kept = found.get(key)
            if kept is not None and (response := self._accepted(record.route, kept)) is not None:
                yield model, response

    def _accepted(self, route: str, kept: Kept) -> Response | None:
        response = Response(
            content=kept.content,
            finish_reason=kept.finish_reason,
            usage=kept.usage,
            response_model=kept.response_model,
            response_id=None,
            vectors=kept.vectors,
        )
        form, checks = self._forms.get(route), self._checks.get(route)
        if form is not None:
            parsed = form.parsed(response.content)
            if parsed is None:
                return None
            response = structs.replace(response, parsed=parsed)
        return response if checks is None or not checks.refusals(response) else None

    # After a result is entered

    def keep(self, record: Admitted, model: str, response: Response) -> None:
        """Keep an answer that was accepted, unless something about it is odd."""
        complete = response.finish_reason == COMPLETE or response.vectors
        if self._answers is None or not complete or response.flag or len(self._new) >= KEPT_AT_ONCE:
            return
        kept = Kept(
            response.content,
            response.finish_reason,
            response.usage,
            response.response_model,
            response.vectors,
        )
        self._new.append((self._key(record, model), kept))
        self._due.set()

    async def write_regularly(self) -> None:
        """Write what was kept, some hundred answers at a time, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            new = self._new[:]
            if self._answers is not None and new:
                try:
                    await asyncio.to_thread(self._answers.keep, new, self._clock.wall())
                except Damage as error:
                    self._leave_out(error)
                del self._new[: len(new)]  # not before: what is cancelled here is written when it closes
            await asyncio.sleep(WRITE_INTERVAL_S)

    def close(self) -> None:
        """Write the rest, drop what is too old or too much, and let the next run have it."""
        with self._closing, suppress(*Damage):
            if self._answers is not None:
                answers, self._answers = self._answers, None
                try:
                    if self._new:
                        answers.keep(self._new, self._clock.wall())
                    oldest = 0.0 if self._outlasting else self._oldest
                    answers.prune(oldest, self._declared.max_mb * 1_000_000)
                finally:
                    answers.close()


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")
