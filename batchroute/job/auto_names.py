"""The names that a record may say in place of a model's, and what of a job file does not fit them."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Final

from batchroute.job.documents import Node
from batchroute.job.problems import Problem

_CODE: Final = "job_auto"


class AutoName(StrEnum):
    """What stands for a model that is chosen for the record."""

    AUTO = "auto"
    """As the routes say."""
    CHEAP = "auto-cheap"
    FAST = "auto-fast"
    BEST = "auto-best"
    CODE = "auto-code"
    FREE = "auto-free"


def misfits(root: Node) -> Iterator[Problem]:
    """Models that are named like these, and merits of models that no record can ask for."""
    asked = root.find("input", "model")
    named = asked is not None and asked.value is not None
    models = root.child("models")
    for name, model in (models.entries() if models else {}).items():
        if named and name in set(AutoName):
            yield Problem(
                mark=model.key,
                path=("models", name),
                reason="is a name that stands for a choice among models, where records name theirs",
                remedy="Rename the model, or remove input.model",
                code=_CODE,
            )
        for key in ("strengths", "quality"):
            merit = model.child(key)
            if not named and merit is not None and merit.value is not None:
                yield Problem(
                    mark=merit.key,
                    path=("models", name, key),
                    reason="is never looked at: no record can ask for auto-best or its like",
                    remedy="Name the column with their models in input.model, or remove it",
                    code=_CODE,
                )
