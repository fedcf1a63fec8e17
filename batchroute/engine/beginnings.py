"""The first records of an input, read for nothing but to know whether a run would stop at them."""

from contextlib import aclosing

from batchroute.core.errors import InputError
from batchroute.core.excerpts import excerpt_of
from batchroute.core.records import Batch, Fault, Labels, Record
from batchroute.engine.openings import Opened
from batchroute.routing.routes import Router
from batchroute.routing.selections import Selection
from batchroute.routing.soundness import Soundness
from batchroute.routing.wishes import Wishes


class Ids:
    """The ids that were read, and where each stood first."""

    def __init__(self) -> None:
        self._first: dict[str, str] = {}

    def fault(self, record: Record) -> Fault | None:
        """Take in the id of a record; its fault, where another one had it before."""
        first = self._first.get(record.record_id)
        if first is not None:
            return repeated(record, first)
        self._first[record.record_id] = f"{record.file}:{record.line}"
        return None


def repeated(record: Record, first: str) -> Fault:
    """The fault of a record whose id was read before, at this place."""
    return Fault("id_duplicate", f"id {record.record_id!r} was read before, at {first}")


class Beginning:
    """Looks at an input as a run does that knows of no record yet, and changes nothing."""

    def __init__(
        self,
        opened: Opened,
        router: Router,
        selection: Selection,
        *,
        max_bad: float,
        limit: int | None,
        wishes: Wishes | None = None,
    ) -> None:
        self._prompts, self._classifier, self._source = opened
        self._router = router
        self._wishes = wishes
        self._selection = selection
        self._limit = limit
        self._soundness = Soundness(bound=max_bad)
        self._ids = Ids()

    async def refuse_if_mostly_bad(self) -> None:
        """Read on until that is known. Raises InputError where a run would send nothing."""
        soundness = self._soundness
        async with aclosing(self._source.batches()) as batches:
            async for batch in batches:
                taken = batch if self._limit is None else batch.first(self._limit - soundness.read)
                self._look_at(taken)
                if soundness.known or soundness.read == self._limit:
                    break
        if reason := soundness.unusable():
            raise InputError(reason, code="input_mostly_bad")

    def _look_at(self, batch: Batch) -> None:
        bad = {
            each.line: (each.fault.error_type, f"{batch.place(each.file, each.line)}: {each.fault.message}")
            for each in batch.rejects
        }
        labels = self._classifier.classify(batch.records)
        for record, label in zip(batch.records, labels, strict=True):
            if (fault := self._fault(record, label)) is not None:
                place = batch.place(record.file, record.line)
                message = f"{place}: {fault.message}: {excerpt_of(record.fields)}"
                bad[record.line] = fault.error_type, message
        good = (record.line for record in batch.records if record.line not in bad)
        self._soundness.note(len(batch), [(line, *told) for line, told in bad.items()], next(good, None))

    def _fault(self, record: Record, labels: Labels) -> Fault | None:
        """Why the record could not be sent; None also where nobody asks for it."""
        if (fault := self._ids.fault(record)) is not None:
            return fault
        route = self._router.route(labels)
        if not self._selection.takes(labels, route.name):
            return None
        rendered = self._prompts.render(record)
        if isinstance(rendered, Fault):
            return rendered
        wished = route if self._wishes is None else self._wishes.of(route, labels.task, record.fields)
        return wished if isinstance(wished, Fault) else None
