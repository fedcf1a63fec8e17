"""From the source to the backlog: register, classify, route and render, a batch at a time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from msgspec import Struct

from batchroute.core.excerpts import excerpt_of
from batchroute.core.records import UNLABELLED, Batch, Fault, Labels, Record
from batchroute.core.requests import Request
from batchroute.core.results import Status
from batchroute.engine.admission import Backlog
from batchroute.engine.beginnings import repeated
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.comparisons import Comparison
from batchroute.engine.entries import dead_letter
from batchroute.engine.inquiries import Asker, Inquiries
from batchroute.engine.sequels import Sequels
from batchroute.engine.shortcuts import AT_ONCE_BYTES, Shortcuts
from batchroute.engine.tally import Tally
from batchroute.engine.trails import Admitted, Place
from batchroute.io.store import Known, State, Store
from batchroute.routing.absences import Absences
from batchroute.routing.classifiers import Classifier
from batchroute.routing.fingerprints import Fingerprints
from batchroute.routing.prompts import Prompts
from batchroute.routing.routes import Router, RouteRule
from batchroute.routing.selections import Selection
from batchroute.routing.soundness import Soundness
from batchroute.routing.wishes import Wishes

_SKIPPED = {State.SUCCEEDED: Status.SUCCEEDED, State.DEGRADED: Status.DEGRADED, State.FAILED: Status.FAILED}
_PENDING = State.PENDING
RENDERED_AT_ONCE = 256


class _Rendered(Struct):
    """A record with its labels, its route and what was made of it."""

    record: Record
    known: Known
    labels: Labels
    route: RouteRule
    request: Request | Fault
    models: tuple[str, ...]
    """Those of the route that can take it."""
    answered: bool
    """Whether it has an answer that is to be replaced."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Turns batches into admitted records, and what cannot be sent into dead letters."""

    run_id: str
    store: Store
    commits: Commits
    classifier: Classifier
    prompts: Prompts
    router: Router
    backlog: Backlog
    clock: Clock
    tally: Tally
    keep: tuple[str, ...]
    carry: Callable[[Any], Any]
    retry_failed: bool
    soundness: Soundness
    selection: Selection
    fingerprints: Fingerprints
    comparison: Comparison
    sequels: Sequels
    absences: Absences
    wishes: Wishes | None = None
    """What routes become by what records ask for themselves."""
    shortcuts: Shortcuts | None = None
    """Where records may be answered without a request: they stand before the backlog."""
    _places: dict[int, Place] = field(default_factory=dict)
    """Of the batch at hand, by seq, where it is not sent as it was read."""
    _bad: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Of the batch at hand, by line: error type and message of what cannot be sent."""

    async def take(self, batch: Batch, inquiries: Inquiries | None = None) -> None:
        """Bring one batch into the backlog. What an earlier run finished is skipped, unless it is to be refreshed.

        `inquiries` are for stages that ask a model. Where they are cut short, as the run is stopping, the records stay
        pending.
        """
        self.tally.read += len(batch)
        self._bad.clear()
        self.absences.look_at(batch.records)
        looked_at = self._looked_at(batch)
        if looked_at and (labels := await self._labels(batch, looked_at, inquiries)) is not None:
            looked_at, labels = await self._in_sequence(looked_at, labels)
            await self._admit(batch, looked_at, labels, inquiries)
        self._refuse(batch)
        good = (record.line for record in batch.records if record.line not in self._bad)
        bad = [(line, error_type, message) for line, (error_type, message) in self._bad.items()]
        self.soundness.note(len(batch), bad, next(good, None))

    async def close(self) -> None:
        """Bring what was kept back of the batches into the backlog: there are no more. Raises OutputError."""
        if self.shortcuts is not None:
            self.backlog.put_all(await self.shortcuts.look_up(least=1))

    async def _labels(
        self, batch: Batch, some: list[tuple[Record, Known]], inquiries: Inquiries | None
    ) -> list[Labels] | None:
        """Models are asked only about records that have no answer and can be sent, in an input that is worth it."""
        if inquiries is None:
            return await asyncio.to_thread(self.classifier.classify, [record for record, _ in some])
        sound = [not isinstance(self.prompts.render(record), Fault) for record, _ in some]
        worth_it = self.soundness.known or self._is_worth_it(
            len(batch), len(batch.rejects) + sound.count(False)
        )
        return await inquiries.labels(
            [
                Asker(record, known.seq, may_ask=worth_it and good and not known.answered)
                for (record, known), good in zip(some, sound, strict=True)
            ]
        )

    async def _in_sequence(
        self, some: list[tuple[Record, Known]], labels: list[Labels]
    ) -> tuple[list[tuple[Record, Known]], list[Labels]]:
        """The records in the order in which they are sent."""
        self._places.clear()
        if all(known.answered for _, known in some):
            return some, labels  # they are compared, and hardly one of them is sent
        found = await self.sequels.of([record for record, _ in some])
        if found is None:
            return some, labels
        for (_, known), place in zip(some, found.places, strict=True):
            self._places[some[place][1].seq] = Place(found.prefixes[place], turn=known.seq)
        return [some[place] for place in found.places], [labels[place] for place in found.places]

    def _is_worth_it(self, read: int, bad: int) -> bool:
        soundness = self.soundness
        return soundness.bad.total() + bad <= soundness.bound * (soundness.read + read)

    def _looked_at(self, batch: Batch) -> list[tuple[Record, Known]]:
        """The records that this run has to answer, or to compare with what they were answered."""
        records = batch.records
        if not records:
            return []
        known = self.store.register([(record.record_id, record.file, record.line) for record in records])
        compared = self.comparison.covers(records[0].file)
        looked_at = []
        for record, place in zip(records, known, strict=True):
            if place.first is not None:
                self._bury_duplicate(batch, record, place.first)
            elif self._is_due(place.state) or (compared and place.comparable):
                looked_at.append((record, place))
            else:
                self._skip(place)
        return looked_at

    def _is_due(self, state: State) -> bool:
        return state is _PENDING or (state is State.FAILED and self.retry_failed)

    def _skip(self, known: Known, *, stale: bool | None = None) -> None:
        """Leave a finished record as it is; None: it was not compared, so that it stands as it did."""
        self.tally.skipped[_SKIPPED[known.state]] += 1
        self.tally.stale += known.stale if stale is None else stale

    async def _admit(
        self,
        batch: Batch,
        some: list[tuple[Record, Known]],
        labels: list[Labels],
        inquiries: Inquiries | None,
    ) -> None:
        again: list[_Rendered] = []
        for start in range(0, len(some), RENDERED_AT_ONCE):
            stop = start + RENDERED_AT_ONCE
            admitted, held_bytes = list[Admitted](), 0
            for (record, known), label in zip(some[start:stop], labels[start:stop], strict=True):
                request = None
                if self.prompts.look is not None:
                    request = await asyncio.to_thread(self.prompts.render, record)
                rendered = self._rendered(record, known, label, request)
                if rendered is None:
                    continue
                if rendered.answered:
                    again.append(rendered)
                elif (ready := self._admitted(batch, rendered)) is not None:
                    admitted.append(ready)
                    held_bytes += len(ready.request.messages)
                    if held_bytes >= AT_ONCE_BYTES:
                        await self._send_on(admitted)
                        admitted, held_bytes = [], 0
            await self._send_on(admitted)
            await asyncio.sleep(0)  # requests in flight go on in between
        self.comparison.keep()
        if again:
            await self.comparison.reopen((each.record.record_id, each.known) for each in again)
            for each in again if inquiries is None else await self._asked_again(again, inquiries):
                if (ready := self._admitted(batch, each)) is not None:
                    await self._send_on([ready])
        if self.shortcuts is not None:
            self.backlog.put_all(await self.shortcuts.look_up())

    async def _send_on(self, records: list[Admitted]) -> None:
        """Bring into the backlog those of these records that have to be sent, as far as that is known by now."""
        self.backlog.put_all(records if self.shortcuts is None else await self.shortcuts.share(records))

    async def _asked_again(self, again: list[_Rendered], inquiries: Inquiries) -> list[_Rendered]:
        """Records that are answered anew, with the labels that they have by now: what was known of them may be old."""
        labels = await inquiries.labels([Asker(each.record, each.known.seq) for each in again])
        pairs = zip(again, labels or (), strict=labels is not None)
        rendered = [self._rendered(each.record, each.known, label, each.request) for each, label in pairs]
        return [each for each in rendered if each is not None]

    def _rendered(
        self, record: Record, known: Known, labels: Labels, request: Request | Fault | None
    ) -> _Rendered | None:
        """The record with its request, if this run is to send it; rendered here unless it was before."""
        route = self.router.route(labels)
        selected = self.selection.takes(labels, route.name)
        answered = known.state is not _PENDING and known.answered
        if not (selected or answered):
            self._leave_out(known)
            return None
        if request is None:
            request = self.prompts.render(record)
        if self.wishes is not None and not isinstance(request, Fault):
            wished = self.wishes.of(route, labels.task, record.fields)
            request, route = (wished, route) if isinstance(wished, Fault) else (request, wished)
        models = route.models
        if route.fitting is not None and not isinstance(request, Fault):
            fitted = route.fitted(request, record.fields)
            request, models = (fitted, ()) if isinstance(fitted, Fault) else (request, fitted)
        rendered = _Rendered(record, known, labels, route, request, models, answered)
        if answered and not self._is_refreshed(rendered, selected=selected):
            return None
        return rendered

    def _is_refreshed(self, rendered: _Rendered, *, selected: bool) -> bool:
        """Compare a finished record with its answer; whether it is to be sent again. Otherwise it is skipped."""
        request, known = rendered.request, rendered.known
        stale = self.comparison.differs(
            known, answers=not isinstance(request, Fault) and self._answers(known, request, rendered)
        )
        if stale and selected and self.comparison.refresh:
            return True
        self._skip(known, stale=stale)
        return False

    def _answers(self, known: Known, request: Request, rendered: _Rendered) -> bool:
        route = rendered.route
        return self.fingerprints.answers(known.request, request, route.tried(rendered.models), route.form)

    def _leave_out(self, known: Known) -> None:
        if known.state is State.FAILED:
            self._skip(known)
        else:
            self.tally.left_out += 1

    def _admitted(self, batch: Batch, rendered: _Rendered) -> Admitted | None:
        """The record as it waits to be sent; None: it cannot be, and is a dead letter by now."""
        record, known, route = rendered.record, rendered.known, rendered.route
        request, models = rendered.request, rendered.models
        if isinstance(request, Fault):
            fault = self._placed(batch, record, request)
            self._bury(
                known, record.record_id, fault, record=record, labels=rendered.labels, route=route.name
            )
            return None
        paid, carried = 0, self.store.carried(known.seq)
        if rendered.answered:
            paid = self.store.paid(known.seq)
            carried = carried.costing(-paid)
        fingerprint, tail = self.fingerprints.digest(request, route.tried(models), route.form, route.name)
        repeats, place = False, self._places.get(known.seq) if self._places else None
        return Admitted(  # by position: by name, a struct of this size takes ten times as long
            known.seq,
            record.record_id,
            rendered.labels,
            route.name,
            models,
            route.head(models),
            request,
            self._kept(record) if self.keep else {},
            carried,
            fingerprint,
            paid,
            route.variant,
            tail,
            repeats,
            place,
        )

    def _refuse(self, batch: Batch) -> None:
        for reject in batch.rejects:
            message = f"{batch.place(reject.file, reject.line)}: {reject.fault.message}"
            fault = Fault(reject.fault.error_type, message)
            self._bad[reject.line] = fault.error_type, message
            self._bury_place(reject.record_id, reject.file, reject.line, fault)

    def _bury_duplicate(self, batch: Batch, record: Record, first: str) -> None:
        fault = self._placed(batch, record, repeated(record, first))
        self._bury_place(f"{record.file}:{record.line}", record.file, record.line, fault, record)

    def _placed(self, batch: Batch, record: Record, fault: Fault) -> Fault:
        """The fault of a record with its place and how it begins, noted as one of this batch."""
        place = batch.place(record.file, record.line)
        message = f"{place}: {fault.message}: {excerpt_of(record.fields)}"
        self._bad[record.line] = fault.error_type, message
        return Fault(fault.error_type, message)

    def _bury_place(
        self, record_id: str, file: str, line: int, fault: Fault, record: Record | None = None
    ) -> None:
        """Bury what has no id of its own under its place in the input, or beside an id that is spelled alike."""
        names = (f"{record_id}#{again}" if again else record_id for again in count())
        registered = ((name, self.store.register([(name, file, line)])[0]) for name in names)
        name, known = next((name, known) for name, known in registered if known.first is None)
        if self._is_due(known.state):
            self._bury(known, name, fault, record=record)
        else:
            self._skip(known)

    def _bury(
        self,
        known: Known,
        record_id: str,
        fault: Fault,
        *,
        record: Record | None,
        labels: Labels = UNLABELLED,
        route: str | None = None,
    ) -> None:
        result = dead_letter(
            fault,
            record_id=record_id,
            labels=labels,
            route=route,
            totals=self.store.carried(known.seq),
            run_id=self.run_id,
            finished_at=self.clock.wall(),
            kept={} if record is None else self._kept(record),
        )
        self.commits.finished(known.seq, None, result)

    def _kept(self, record: Record) -> dict[str, Any]:
        return {name: self.carry(record.fields.get(name)) for name in self.keep}
