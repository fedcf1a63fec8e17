"""What every part of a job file is made of: the base class of its models and the types they share."""

from collections import Counter
from decimal import Decimal
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from batchroute.job.durations import DURATION_PATTERN, seconds


class Spec(BaseModel):
    """A mapping of the job file: unknown keys refused, never changed after loading, no guessing of types.

    A validator's ValueError reads "what is wrong. What to write instead": the loader parts it at the first
    full stop and puts place and value in between.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=False,
        defer_build=True,
    )


def _tuple(value: Any) -> Any:
    """YAML has lists, frozen models have tuples."""
    return tuple(value) if isinstance(value, list) else value


def distinct(names: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list that names something twice."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ValueError(f"names {repeated[0]!r} twice. Remove one of them")
    return names


def as_written(value: Any) -> Any:
    """Take a YAML number as the digits that were written, not as their binary neighbour."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Decimal(repr(value))
    return value


Seconds: TypeAlias = Annotated[
    float,
    BeforeValidator(seconds),
    Field(gt=0),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["500ms", "30s", "2m", "1h"]}),
]
"""A duration, in seconds once loaded. At most a week."""

Positive: TypeAlias = Annotated[int, Field(gt=0)]
"""A whole number above zero."""

Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1."""

Text: TypeAlias = Annotated[str, StringConstraints(min_length=1)]
"""Text that is not empty."""

NAME: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
Name: TypeAlias = Annotated[str, StringConstraints(pattern=NAME)]
"""The name of a job: safe in a file name, a column and a log line."""

KEY: Final = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,99}$"
Key: TypeAlias = Annotated[str, StringConstraints(pattern=KEY)]
"""The name of a provider, a model or a route: no blanks, so that it reads well in columns and logs."""

Usd: TypeAlias = Annotated[
    Decimal,
    BeforeValidator(as_written),
    Field(ge=0, le=10_000),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 10_000}),
]
"""USD per million tokens."""

Listed = BeforeValidator(_tuple)
"""Put on a tuple field, `Annotated[tuple[str, ...], Listed]`, so that it takes a YAML list."""
