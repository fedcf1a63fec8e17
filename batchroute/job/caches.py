"""Where a job keeps answers beside its output, for other runs to find."""

import re
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema

from batchroute.job.paths import LocalPath
from batchroute.job.spec import Spec

_HOUR_S: Final = 3600
_SECONDS: Final = {"h": _HOUR_S, "d": 24 * _HOUR_S}
_AGE: Final = re.compile(r"([1-9][0-9]{0,4}) ?(h|d)")
_PATTERN: Final = r"^[1-9][0-9]{0,4} ?(h|d)$"


def _age(value: Any) -> int:
    match = _AGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("must be a number of hours or days. Write 12h or 30d")
    return int(match[1]) * _SECONDS[match[2]]


Age: TypeAlias = Annotated[
    int,
    BeforeValidator(_age),
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["12h", "30d"]}),
]
"""How old something may be, in seconds once loaded."""


class Cache(Spec):
    """Answers of earlier runs, also of other jobs: a request that a model has answered there is not sent to it again."""

    path: LocalPath = Field(
        description="A directory of its own, made when it is missing; relative to the job file. Jobs may share it."
    )
    ttl: Age = Field(
        default=30 * 24 * _HOUR_S, description="How old an answer may be: 12h, 30d. Default: 30d."
    )
    max_mb: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=1024, description="MB that it may take after a run; the oldest answers go first."
    )
