"""What a plan knows of the requests beside those for answers: of models that label records, and of judges.

Labels that were told in earlier runs are known; of what would be asked now nothing is, so that later stages are asked
about it as well: that is the most. A judge is taken to be asked once about each record, as if every first answer got so
far and were good enough.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from batchroute.core.attempts import CLASSIFY, JUDGE
from batchroute.core.records import Labels, Record
from batchroute.core.requests import Request
from batchroute.io.store import Store
from batchroute.job.jobs import Job
from batchroute.routing import judges
from batchroute.routing.classifiers import Classifier
from batchroute.routing.estimates import sent_tokens
from batchroute.routing.forecasts import Declared, Forecast, Forecaster, Load, Observed
from batchroute.routing.labellers import Labeller, unpacked
from batchroute.routing.opinions import UNDECIDED, Answer
from batchroute.routing.sittings import Question


class PlannedCompanion(Struct, frozen=True, kw_only=True):
    """Requests of one purpose, `classify` or `judge`, to one model. The forecast's `records` are requests."""

    purpose: str
    model: str
    forecast: Forecast


class Companions:
    """Adds up, while a plan reads, what else would be asked."""

    def __init__(self, job: Job, classifier: Classifier, store: Store) -> None:
        self._classifier, self._store = classifier, store
        self._judges = {
            name: [check.judge for check in route.checks if check.judge] for name, route in job.routes.items()
        }
        self._seen: set[int] = set()
        self._loads: dict[tuple[str, str, str], Load] = {}

    def labels(self, records: Sequence[Record]) -> list[Labels]:
        """The records' labels as far as they are known before anybody is asked."""
        if not self._classifier.labellers:
            return self._classifier.classify(records)
        if not records:
            return []
        sitting = self._classifier.begin(records)
        while (question := sitting.question) is not None:
            sitting.answer(self._answers(question))
        return sitting.labels()

    def answered(self, route: str, request: Request, digest: int | None = None) -> None:
        """Take in that a record of this route would be answered: its judges would be asked, once about equal ones."""
        for judge in self._judges.get(route, ()):
            asked = judges.asked(judge, request, "")
            self._load(JUDGE, judge.model, route).add(sent_tokens(asked), asked.max_output_tokens, {}, digest)

    def planned(
        self,
        declared: Mapping[str, Declared],
        observed: Observed,
        scale: float,
        answer_tokens: Mapping[str, float],
    ) -> tuple[PlannedCompanion, ...]:
        """What there is to expect. `answer_tokens` are those of an answer by route, which its judges are shown."""
        parts: dict[tuple[str, str], list[tuple[Load, float]]] = {}
        for (purpose, model, route), each in self._loads.items():
            load = each.once()
            shown = _longer(load, round(answer_tokens.get(route, 0.0))) if purpose == JUDGE else load
            parts.setdefault((purpose, model), []).append((shown, 1))
        forecaster = Forecaster(declared, _of_companions(observed), scale)
        return tuple(
            PlannedCompanion(
                purpose=purpose, model=model, forecast=forecaster.at(model, parts[purpose, model])
            )
            for purpose, model in sorted(parts)
        )

    def _answers(self, question: Question) -> list[Answer]:
        labeller = self._classifier.labellers[question.stage]
        shown = [labeller.shown(text) for text in question.columns.texts(labeller.text)]
        numbers = [None if text is None else labeller.question(text) for text in shown]
        asked = list({number for number in numbers if number is not None})
        known = unpacked(self._store.told(asked))
        new = {
            number: text
            for number, text in zip(numbers, shown, strict=True)
            if number is not None and text is not None and number not in known and number not in self._seen
        }
        self._seen |= new.keys()
        self._ask(labeller, list(new.values()))
        return [UNDECIDED if number is None else known.get(number, UNDECIDED) for number in numbers]

    def _ask(self, labeller: Labeller, texts: Sequence[str]) -> None:
        for start in range(0, len(texts), labeller.batch):
            request = labeller.request(texts[start : start + labeller.batch])
            load = self._load(CLASSIFY, labeller.model, CLASSIFY)
            load.add(sent_tokens(request), request.max_output_tokens, {})

    def _load(self, purpose: str, model: str, route: str) -> Load:
        key = purpose, model, route
        if key not in self._loads:
            self._loads[key] = Load(purpose, (model,))
        return self._loads[key]


def _longer(load: Load, tokens: int) -> Load:
    longer = Load(load.route, load.models)
    for sent, cap in zip(load.sent, load.caps, strict=True):
        longer.add(sent + tokens, cap, {})
    return longer


def _of_companions(observed: Observed) -> Observed:
    """By purpose where the other one is by route; what a model answers says nothing of how it labels."""
    return Observed(
        output_by_route=observed.output_by_purpose, latency_s=observed.latency_s, ratio=observed.ratio
    )
