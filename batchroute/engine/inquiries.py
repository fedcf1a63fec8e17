"""Asking models for labels: what stages of classification want to know, in requests of several records each.

An inquiry walks the journey that a record walks, on a route of one model, so that it keeps to the same limits, waits,
retries and budget. What it learns are labels, and its end is not a result: a label that cannot be had is left to the
next stage.
"""

import asyncio
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from msgspec import Struct, field, structs

from batchroute.core.attempts import CLASSIFY, NO_ROUTE, Attempt
from batchroute.core.records import UNLABELLED, Labels, Record
from batchroute.core.responses import Outcome, Response
from batchroute.core.results import NOTHING_SPENT, Result, Totals
from batchroute.engine import entries
from batchroute.engine.journey import Journey
from batchroute.engine.pools import Pool
from batchroute.engine.requests import Requests
from batchroute.engine.trails import Admitted, Trail
from batchroute.io.store import Store
from batchroute.routing.classifiers import Classifier
from batchroute.routing.labellers import Labeller, packed, unpacked
from batchroute.routing.opinions import UNDECIDED, Answer
from batchroute.routing.sittings import Question, Sitting

PATIENCE_S = 60.0
"""How long a record waits for a classifying model that is paused or down before the next stage is asked: from the first
time that it has to, as the queue of a paced model may be longer than that.
"""


class Asker(Struct, frozen=True, gc=False):
    """A record with its number, and whether it may be asked about. Of one that may not, what is known is looked up."""

    record: Record
    seq: int
    may_ask: bool = True


class Asked(Struct, frozen=True, gc=False):
    """One text that is asked about, for the first record that has it."""

    question: int
    shown: str
    asker: Asker


class Inquiry(Admitted, frozen=True, kw_only=True, array_like=True, gc=False):
    """One request about several texts, entered in the books under the record of the first one."""

    labeller: Labeller
    asked: tuple[Asked, ...]
    borne: int = 0
    """The most that any of these records has cost so far, picodollars."""
    held_up: list[float] = field(default_factory=list)
    """When it first had to wait for its model."""
    answers: dict[int, Answer] = field(default_factory=dict)
    """What it learned, by question."""
    sent: list[Attempt] = field(default_factory=list)
    """Its requests, once they have ended."""


class Bill(Struct):
    """What a stage was asked in this run, and what that took: picodollars and seconds."""

    requests: int = 0
    unanswered: int = 0
    """Texts for which no answer came."""
    cost: int | None = 0
    seconds: float = 0.0

    def add(self, attempt: Attempt) -> None:
        """Add a request; one whose cost is unknown makes the sum so."""
        self.requests += 1
        self.cost = None if self.cost is None or attempt.cost is None else self.cost + attempt.cost


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRequests(Requests):
    """The requests of inquiries: rows of the ledger of their own purpose, and no results."""

    def affords(self, trail: Trail, most: int) -> bool:
        """Whether each of the records may cost its share more, beside that of the requests before."""
        inquiry = _of(trail)
        costs = [most, *(attempt.cost or 0 for attempt in inquiry.sent)]
        return self.purse.affords(inquiry.borne, sum(-(-cost // len(inquiry.asked)) for cost in costs))

    def patient(self, trail: Trail, until: float) -> bool:
        """Whether the label is waited for so long."""
        held_up = _of(trail).held_up
        if not held_up:
            held_up.append(self.clock.now())
        return until <= held_up[0] + PATIENCE_S

    def give_up(self, trail: Trail) -> None:
        """Nothing ends with a label that cannot be had."""

    def _blank(self, route: str, pool: Pool) -> Attempt:
        key = (route, pool.spec.model)
        if key not in self.blanks:
            blank = entries.blank_attempt(self.run_id, route, pool.spec)
            self.blanks[key] = structs.replace(blank, purpose=CLASSIFY)
        return self.blanks[key]

    def _result(self, *_: object) -> None:
        """Labels are no result."""

    def _enter(
        self,
        trail: Trail,
        attempt: Attempt,
        result: Result | None,  # noqa: ARG002  there is none
        outcome: Outcome,
    ) -> None:
        inquiry, told = _of(trail), list[tuple[int, bytes]]()
        if isinstance(outcome, Response):
            answers = inquiry.labeller.answers(outcome.content, len(inquiry.asked))
            for asked, answer in zip(inquiry.asked, answers, strict=True):
                inquiry.answers[asked.question] = answer
                told.append((asked.question, packed(answer)))
        inquiry.sent.append(attempt)
        seqs = [asked.asker.seq for asked in inquiry.asked]
        self.commits.labelled(inquiry.seq, attempt, shared(attempt, seqs), told)


def shared(attempt: Attempt, seqs: Sequence[int]) -> list[tuple[int, Totals]]:
    """What each record bears of an attempt that is entered under the first of them: equal shares, to the picodollar.

    All of them add up to nothing: from the first one is taken away what the others bear. Of an unknown cost nothing is
    shared.
    """
    usage, count = attempt.usage, len(seqs)
    if count == 1 or attempt.cost is None:
        return []
    whole = (usage.input_tokens, usage.output_tokens, attempt.cost) if usage else (0, 0, attempt.cost)
    borne = [[amount // count + (place < amount % count) for amount in whole] for place in range(count)]
    borne[0] = [own - amount for own, amount in zip(borne[0], whole, strict=True)]
    return [
        (seq, Totals(input_tokens=read, output_tokens=written, cost=cost))
        for seq, (read, written, cost) in zip(seqs, borne, strict=True)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class Inquiries:
    """Brings records before all stages of a classifier, those that ask a model included."""

    classifier: Classifier
    journey: Journey
    """On which requests for labels are sent."""
    store: Store
    bills: dict[str, Bill] = dataclasses.field(default_factory=dict)
    """By stage."""

    @classmethod
    def of(
        cls, classifier: Classifier, journey: Journey, pools: Mapping[str, Pool], store: Store
    ) -> "Inquiries | None":
        """For the stages that ask a model, on journeys of their own beside that of the records; None without any.

        `pools` are all of the run: one that only labels is no reason to end it, nor does it keep it going.
        """
        if not classifier.labellers:
            return None
        shared_with = {each.name: getattr(journey.requests, each.name) for each in fields(Requests)}
        requests = LabelRequests(**{**shared_with, "blanks": {}, "cache": None})
        own = replace(journey, requests=requests, pools=pools, lineups={})
        return cls(classifier=classifier, journey=own, store=store)

    async def labels(self, askers: Sequence[Asker]) -> list[Labels] | None:
        """One Labels for each record, in order; None when the run is stopping and they are not all known."""
        sitting = await self.heard(askers)
        return None if self.journey.halt.stopping else await asyncio.to_thread(sitting.labels)

    async def heard(self, askers: Sequence[Asker], now: Callable[[], float] | None = None) -> Sitting:
        """The records after all stages were heard. `now` times those that ask nobody."""
        records = [asker.record for asker in askers]
        sitting = await asyncio.to_thread(self.classifier.begin, records, now)
        while (question := sitting.question) is not None:
            answers = await self._answers(question, [askers[row] for row in question.rows])
            await asyncio.to_thread(sitting.answer, answers)
        return sitting

    async def _answers(self, question: Question, askers: Sequence[Asker]) -> list[Answer]:
        """Equal texts are asked about once, and never again once that was answered."""
        labeller = self.classifier.labellers[question.stage]
        texts = await asyncio.to_thread(question.columns.texts, labeller.text)
        shown = [labeller.shown(text) for text in texts]
        questions = [None if text is None else labeller.question(text) for text in shown]
        known = unpacked(self.store.told(list({number for number in questions if number is not None})))
        wanted: dict[int, Asked] = {}
        for number, text, asker in zip(questions, shown, askers, strict=True):
            if number is not None and text is not None and asker.may_ask and number not in known:
                wanted.setdefault(number, Asked(number, text, asker))
        bill = self.bills.setdefault(question.stage, Bill())
        began = self.journey.clock.now()
        known |= await self._ask(labeller, list(wanted.values()), bill)
        bill.seconds += self.journey.clock.now() - began
        return [UNDECIDED if number is None else known.get(number, UNDECIDED) for number in questions]

    async def _ask(self, labeller: Labeller, wanted: Sequence[Asked], bill: Bill) -> Mapping[int, Answer]:
        inquiries = [
            self._inquiry(labeller, tuple(wanted[start : start + labeller.batch]))
            for start in range(0, len(wanted), labeller.batch)
        ]
        async with asyncio.TaskGroup() as asking:
            for inquiry in inquiries:
                asking.create_task(self.journey.walk(inquiry))
        await self.journey.requests.commits.settled()  # what records bear of it is looked up next
        for inquiry in inquiries:
            for attempt in inquiry.sent:
                bill.add(attempt)
        found = {number: answer for inquiry in inquiries for number, answer in inquiry.answers.items()}
        bill.unanswered += len(wanted) - len(found)
        return found

    def _inquiry(self, labeller: Labeller, asked: tuple[Asked, ...]) -> Inquiry:
        first = asked[0].asker
        carried = [self.store.carried(each.asker.seq) for each in asked]
        return Inquiry(
            seq=first.seq,
            record_id=first.record.record_id,
            labels=UNLABELLED,
            route=NO_ROUTE,
            models=(labeller.model,),
            head=labeller.model,
            request=labeller.request([each.shown for each in asked]),
            kept={},
            carried=structs.replace(NOTHING_SPENT, attempts=carried[0].attempts),
            labeller=labeller,
            asked=asked,
            borne=max(totals.cost or 0 for totals in carried),
        )


def _of(trail: Trail) -> Inquiry:
    assert isinstance(trail.record, Inquiry), "inquiries send nothing else"
    return trail.record
