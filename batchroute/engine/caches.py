"""Answers of earlier runs: found before a record is sent, kept once a result is entered."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct, json, structs

from batchroute.core.errors import OutputError, OutputLockedError
from batchroute.core.requests import Request, opening
from batchroute.core.responses import Response
from batchroute.engine.clock import Clock
from batchroute.engine.pools import Pool
from batchroute.engine.trails import Admitted, Old
from batchroute.io.answers import Answers, Damage, Kept, is_damaged, opened, renewed, unpacked
from batchroute.io.locks import locked
from batchroute.job.caches import Cache as Declared
from batchroute.job.checks import Judge
from batchroute.routing.checks import Checks
from batchroute.routing.forms import Formed
from batchroute.routing.routes import RouteRule

DIGEST_BYTES: Final = 16
KEPT_BYTES: Final = 32 << 20
"""What answers that wait to be written may take; more than these come only from a disk that cannot follow, and are let go."""
BYTES_BESIDE: Final = 512
"""About what an answer takes beside what it says."""
WRITE_INTERVAL_S: Final = 0.2
COMPLETE: Final = "stop"

Recall = Callable[[Admitted, str, Response], None]
"""Brings a record to its result with the answer of this model."""


class _Way(Struct, frozen=True):
    """What asking a model on a route has in common: what becomes of a request on its way there, what is hashed before
    it, and what an answer has to stand.
    """

    model: str
    pool: Pool
    form: Formed | None
    checks: Checks | None
    begun: hashlib.blake2b

    def asked(self, request: Request) -> Request:
        """What the model gets of a record's request."""
        return self.pool.asked(request if self.form is None else self.form.asked(request, self.model))

    def key(self, asked: Request) -> bytes:
        """The digest of what the model gets."""
        digest = self.begun.copy()
        digest.update(asked.messages)
        digest.update(asked.params)
        digest.update(b"}")
        return digest.digest()


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
        """`rules`: those of the routes, and what the wishes of records can make of them. `reads`: whether answers are
        looked for; they are kept in any case. `outlasting`: what is too old stays as
        long as there is room, as it is the last resort of some records.
        """
        self._declared, self._pools = declared, pools
        self._rules = {rule.variant or rule.name: rule for rule in rules}
        self._forms, self._checks, self._known_as = forms, checks, known_as
        self._clock, self._reads, self._outlasting = clock, reads, outlasting
        self._known_ways: dict[tuple[str, str], _Way] = {}
        self._first: dict[tuple[str, tuple[str, ...]], Sequence[_Way]] = {}
        self._new: list[tuple[bytes, Kept]] = []
        self._new_bytes = self._let_go = 0
        self._due = asyncio.Event()
        self._warnings: list[str] = []
        self._damaged = False
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
        if not self._let_go:
            return tuple(self._warnings)
        said = f"cache: {self._let_go:,} answers were not kept, as the disk could not follow [cache]"
        return *self._warnings, said

    def _warn(self, text: str) -> None:
        self._warnings.append(f"cache: {text} [cache]")

    def _give_up(self, answers: Answers, error: Exception) -> None:
        """Go on with a new file where this one is damaged, else without it, and say so once."""
        if answers is not self._answers:
            return  # it was given up already: who has asked it since learns that it is closed
        answers.close()
        self._answers = None
        if is_damaged(error):
            with suppress(*Damage):
                self._answers, said = renewed(self._declared.path, error)
                self._warn(said)
                return
        self._new, self._new_bytes = [], 0
        self._warn(f"{self._declared.path}: {_reason(error)}; the rest of this run went on without it")

    # Before a record is sent

    async def unanswered(self, records: list[Admitted], recall: Recall) -> list[Admitted]:
        """Bring the records to their results that a model of their first choice has answered before this run, and give
        the others. One that shares no answer with its equals takes none from here either.
        """
        if self._answers is None or not self._reads:
            return records
        asked = [
            (record, way, way.key(way.asked(record.request)))
            for record in records
            if record.tail is not None
            for way in self._first_asked(record)
        ]
        found = await self._find([key for _, _, key in asked], self._oldest, inherited=True)
        if not found:
            return records
        answered = set[int]()
        for record, way, key in asked:
            payload = found.get(key)
            if payload is None or record.seq in answered:
                continue
            response = self._accepted(way, payload)
            if response is not None:
                answered.add(record.seq)
                recall(record, way.model, response)
        return [record for record in records if record.seq not in answered]

    async def old_answer(self, record: Admitted) -> Old | None:
        """The answer of any model of its route to what the record asks, however old."""
        if not self._reads:
            return None
        ways = {way.key(way.asked(record.request)): way for way in self._ways(record.route, record.models)}
        found = await self._find(list(ways), 0.0)
        for key, way in ways.items():
            response = self._accepted(way, found[key]) if key in found else None
            if response is not None:
                return Old(way.model, self._pools[way.model].spec.provider, response)
        return None

    def _first_asked(self, record: Admitted) -> Sequence["_Way"]:
        """The ways to the models that are its first choice."""
        choice = record.lineup, record.models
        ways = self._first.get(choice)
        if ways is None:
            first = self._rules[record.lineup].alternatives(record.models) if record.models else ()
            ways = self._first[choice] = self._ways(record.route, first)
        return ways

    def _ways(self, route: str, models: Sequence[str]) -> Sequence["_Way"]:
        return [self._known_ways.get((route, model)) or self._way(route, model) for model in models]

    def _way(self, route: str, model: str) -> "_Way":
        checks, pool = self._checks.get(route), self._pools[model]
        judge = None if checks is None or checks.judge is None else self._told(checks.judge)
        begun = hashlib.blake2b(json.encode([self._known_as(model), judge]), digest_size=DIGEST_BYTES)
        begun.update(opening(pool.spec.request_model))
        way = self._known_ways[route, model] = _Way(model, pool, self._forms.get(route), checks, begun)
        return way

    def _told(self, judge: Judge) -> object:
        return [self._known_as(judge.model), judge.rubric, judge.threshold]

    @property
    def _oldest(self) -> float:
        return self._clock.wall() - self._declared.ttl

    async def _find(
        self, keys: Sequence[bytes], since: float, *, inherited: bool = False
    ) -> dict[bytes, bytes]:
        answers = self._answers
        if answers is None or not keys:
            return {}
        try:
            return await asyncio.to_thread(answers.find, keys, since, inherited=inherited)
        except Damage as error:
            self._give_up(answers, error)
            return {}

    def _accepted(self, way: "_Way", payload: bytes) -> Response | None:
        """What was found, if its route would accept it. One that is damaged is asked for anew, and replaced."""
        kept = unpacked(payload)
        if kept is None:
            if not self._damaged:
                self._damaged = True
                self._warn(f"{self._declared.path}: some answers are damaged, and were asked for anew")
            return None
        response = Response(kept.content, kept.finish_reason, kept.usage, kept.response_model, None)
        if kept.vectors:
            response = structs.replace(response, vectors=kept.vectors)
        if way.form is not None:
            parsed = way.form.parsed(response.content)
            if parsed is None:
                return None
            response = structs.replace(response, parsed=parsed)
        return response if way.checks is None or not way.checks.refusals(response) else None

    # After a result is entered

    def keep(self, route: str, model: str, asked: Request, response: Response) -> None:
        """Keep what a model has answered to this on a route that has accepted it, if it is complete."""
        complete = response.finish_reason == COMPLETE or response.vectors
        if self._answers is None or not complete:
            return
        if self._new_bytes >= KEPT_BYTES:
            self._let_go += 1
            return
        kept = Kept(
            response.content,
            response.finish_reason,
            response.usage,
            response.response_model,
            response.vectors,
        )
        (way,) = self._ways(route, (model,))
        self._new.append((way.key(asked), kept))
        self._new_bytes += _bytes(kept)
        self._due.set()

    async def write_regularly(self) -> None:
        """Write what was kept, some hundred answers at a time, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            new, answers = self._new[:], self._answers
            if answers is not None and new:
                try:
                    await asyncio.to_thread(answers.keep, new, self._clock.wall())
                except Damage as error:
                    self._give_up(answers, error)
                else:
                    # not before: what is cancelled here is written when it closes
                    del self._new[: len(new)]
                    self._new_bytes = sum(_bytes(kept) for _, kept in self._new)
            await asyncio.sleep(WRITE_INTERVAL_S)

    def close(self) -> None:
        """Write the rest, drop what is too old or too much, and let the next run have it. Once is enough."""
        with self._closing:
            for _ in range(2):  # again if a new file was begun
                answers = self._answers
                if answers is None:
                    return
                try:
                    self._write_the_rest(answers)
                except Damage as error:
                    self._give_up(answers, error)
                else:
                    answers.close()
                    self._answers = None

    def _write_the_rest(self, answers: Answers) -> None:
        if self._new:
            answers.keep(self._new, self._clock.wall())
            self._new, self._new_bytes = [], 0
        oldest = 0.0 if self._outlasting else self._oldest
        answers.prune(oldest, self._declared.max_mb * 1_000_000)


def _bytes(kept: Kept) -> int:
    return len(kept.content) + sum(map(len, kept.vectors)) + BYTES_BESIDE


def _reason(error: Exception) -> str:
    return str(error).rstrip(".")
