"""Worlds in which models are asked more than answers: labels before, and judgements after; within a budget, perhaps."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from batchroute.core.requests import Request
from batchroute.core.responses import Outcome, Response, Usage
from tests.fakes import EPOCH, Script, Sent
from tests.laws import books
from tests.laws.legs import Leg
from tests.laws.worlds import PRICES, Model, World, number_of, wild_models

LABELLER, JUDGE = "l", "j"
_WORDS = {b"Classify each numbered text": "classify", b"Grade an answer": "judge"}


@dataclass(frozen=True, kw_only=True)
class AskingWorld(World):
    """A world whose routes are found by a model that labels, and whose answers a model grades. Every price is known."""

    labeller: str = LABELLER
    """Which model labels; it may be one that answers, too. So may the judge."""
    batch: int = 1
    mumbled: frozenset[int] = frozenset()
    """Records of which the labeller says nothing that can be read."""
    judge: str | None = None
    doubted: frozenset[int] = frozenset()
    """Records whose answers the judge finds bad, whoever gave them; it says nothing of those in `unjudged`."""
    unjudged: frozenset[int] = frozenset()
    budget: str | None = None
    extra: Mapping[str, Model] = field(default_factory=dict)
    """The ways of models that only label or judge."""

    def route_of(self, number: int) -> tuple[str, ...]:
        return self.routes[0] if number in self.mumbled else super().route_of(number)

    def job_fields(self, folder: Path) -> dict[str, Any]:
        declared = super().job_fields(folder)
        models = {**declared["models"], **{name: model.declared(name) for name, model in self.extra.items()}}
        stage = {"model": self.labeller, "labels": ["third", "other"], "batch": self.batch}
        return {
            **declared,
            "classify": [{"llm": stage}],
            "models": models,
            "budget": None if self.budget is None else {"usd": Decimal(self.budget)},
        }

    def _demands(self) -> dict[str, Any]:
        demands = super()._demands()
        if self.judge is None:
            return demands
        judged = {"judge": {"model": self.judge, "rubric": "Is right.", "threshold": 0.5}}
        return {**demands, "checks": [*demands["checks"], judged], "keep_best": self.keep_best}

    def scripts(self) -> dict[str, Script]:
        every = replace(self, models={**self.models, **self.extra})
        return {name: self._asked(script) for name, script in super(AskingWorld, every).scripts().items()}

    def _asked(self, answering: Script) -> Script:
        """The same model with the same moods; what it says goes by what it is asked."""

        def script(sent: Sent) -> tuple[float, Outcome]:
            latency_s, outcome = answering(sent)
            if isinstance(outcome, Response) and (purpose := purpose_of(sent.request)) != "answer":
                said = self._labels(sent.request) if purpose == "classify" else self._score(sent.request)
                outcome = replace_content(outcome, said)
            return latency_s, outcome

        return script

    def _labels(self, request: Request) -> str:
        return "\n".join(
            f"{place} | {'???' if number in self.mumbled else self._kind(number)} | 0.9"
            for place, number in enumerate(numbers_of(request), 1)
        )

    def _score(self, request: Request) -> str:
        number = number_of(request)
        return "no idea" if number in self.unjudged else "0.2" if number in self.doubted else "0.9"


def replace_content(outcome: Response, said: str) -> Response:
    usage = outcome.usage
    assert usage is not None
    return Response(
        content=said,
        finish_reason="stop",
        usage=Usage(input_tokens=usage.input_tokens + 30, output_tokens=len(said)),
        response_model=None,
        response_id=None,
    )


def purpose_of(request: Request) -> str:
    """What a request is for, by its first words."""
    return next((purpose for words, purpose in _WORDS.items() if words in request.messages), "answer")


def numbers_of(request: Request) -> list[int]:
    """The numbers of all records that a request asks about."""
    return [int(found) for found in re.findall(rb"question (\d+)", request.messages)]


# What hypothesis draws


@st.composite
def asking(draw: st.DrawFn, drawn: st.SearchStrategy[World], *, steady: bool) -> AskingWorld:
    """`steady`: the models that only label or judge never fail, and there is money for all."""
    base = draw(drawn)
    some = st.frozensets(st.integers(0, base.count - 1), max_size=6)
    extra = {}
    for name in (LABELLER, JUDGE):
        calm = Model(concurrency=draw(st.integers(1, 4)))
        extra[name] = calm if steady else replace(draw(wild_models(base.count)), poor=frozenset())
    answering = base.models if steady else {**base.models, **extra}
    priced = {name: replace(model, price=model.price or draw(PRICES)) for name, model in answering.items()}
    kept = {each.name: getattr(base, each.name) for each in fields(World)} | {
        "models": {name: priced.get(name, model) for name, model in base.models.items()}
    }
    others = [] if steady else list(base.models)
    return AskingWorld(
        **kept,
        extra={name: priced.get(name, model) for name, model in extra.items()},
        labeller=draw(st.sampled_from([LABELLER, LABELLER, *others])),
        batch=draw(st.sampled_from([1, 3])),
        mumbled=draw(some),
        judge=draw(st.sampled_from([None, JUDGE, JUDGE, *others])),
        doubted=draw(some),
        unjudged=draw(some),
        budget=None if steady else draw(st.sampled_from([None, "0.0004", "0.003", "0.02", "1"])),
    )


# The laws


def answers_of(leg: Leg) -> Leg:
    """The same run as if nothing had been asked but answers."""
    return replace(leg, ledger=leg.ledger.filter(purpose="answer"))


def assert_every_request_has_its_row(legs: list[Leg]) -> None:
    """Every request of these runs has a row of its purpose, and every row without a request is unknown."""
    ledger = legs[-1].ledger
    books.assert_attempts_numbered(legs[-1])
    sent = Counter(
        (purpose_of(one.request), f"r{number_of(one.request)}", one.model)
        for leg in legs
        for one in leg.provider.log
    )
    columns = ("purpose", "record_id", "model")
    rows = Counter(ledger.select(columns).iter_rows())
    unknown = ledger.filter(pl.col("error_type").is_in(books.UNKNOWN)).select(columns)
    assert not sent - rows, "requests without a row"
    assert not (rows - sent) - Counter(unknown.iter_rows()), "rows without a request"


def assert_sums_agree(leg: Leg) -> None:
    """Once nothing is pending, results have cost and taken what the ledger says."""
    for column in ("cost_usd", "input_tokens", "output_tokens"):
        assert (leg.results[column].sum() or 0) == (leg.ledger[column].sum() or 0), column
    assert leg.results["attempts"].sum() == leg.ledger.height


def assert_within_budget(world: AskingWorld, leg: Leg) -> None:
    if world.budget is not None:
        assert (leg.ledger["cost_usd"].sum() or 0) <= Decimal(world.budget)


def assert_judged(world: AskingWorld, leg: Leg) -> None:
    """What a judge found bad is only taken as the best of those; an answer that it says nothing of is flagged."""
    if world.judge is None:
        return
    for record_id, flag in leg.results.filter(status="succeeded").select("record_id", "flag").iter_rows():
        if int(record_id.removeprefix("r")) in world.unjudged | world.doubted:
            assert flag in {"unjudged", "kept_best"}


def assert_lawful(world: AskingWorld, leg: Leg) -> None:
    """All laws of one run that was left alone."""
    assert leg.ended is not None
    books.assert_conserved(world, leg, whole=leg.ended.pending == 0)
    books.assert_ended_adds_up(world, leg)
    books.assert_money_agrees(leg)
    books.assert_run_cost_told(leg)
    books.assert_attempts_apart(leg)
    books.assert_answers_checked(world, answers_of(leg))
    assert_every_request_has_its_row([leg])
    assert_within_budget(world, leg)
    assert_judged(world, leg)
    assert not leg.complaints
    if leg.ended.pending == 0:
        assert_sums_agree(leg)


def assert_nothing_answered_is_asked_again(killed: Leg, taken_at: float, resumed: Leg) -> None:
    """Neither a record that had its result is asked about, nor a label that was told."""
    assert killed.ended is not None
    ends = pl.col("started_at").dt.epoch("us") / 1e6 - EPOCH + pl.col("latency_s")
    before = killed.ledger.filter(ends < taken_at - 1e-5, run_id=killed.ended.run_id, outcome="ok")
    done = killed.results.filter(
        pl.col("finished_at").dt.epoch("us") / 1e6 - EPOCH < taken_at - 1e-5,
        run_id=killed.ended.run_id,
    )
    again = {f"r{number_of(sent.request)}" for sent in resumed.provider.log}
    assert not again & set(done["record_id"])

    labelled = set(before.filter(purpose="classify")["record_id"])
    asked = {
        f"r{number_of(sent.request)}"
        for sent in resumed.provider.log
        if purpose_of(sent.request) == "classify"
    }
    assert not asked & labelled
