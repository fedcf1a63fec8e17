"""What the API of one model differs in from the request that the job declares."""

from collections.abc import Mapping
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from batchroute.core.requests import CAPS
from batchroute.job.spec import Listed, Spec, Text, distinct

OWNED_PARAMS: Final = ("model", "messages", "stream", "n")
MOST_OUTPUT_TOKENS: Final = 10**7
"""No model writes more; and what a request can cost at most stays within 64 bits of picodollars."""


def own_params(params: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse members of a request body that are not the job's to set."""
    _not_owned(params)
    return params


def _not_owned(names: Mapping[str, object] | tuple[str, ...]) -> None:
    owned = [name for name in OWNED_PARAMS if name in names]
    if owned:
        raise ValueError(f"must not hold {', '.join(owned)}. Remove it: batchroute sets it for each request")


def _renames(names: dict[str, str]) -> dict[str, str]:
    _not_owned(names)
    _not_owned(tuple(names.values()))
    distinct(tuple(names.values()))
    for old, new in names.items():
        if old == new:
            raise ValueError(f"gives {old} its own name. Remove it")
        if new in CAPS and old not in CAPS:
            raise ValueError(f"makes {old} a limit of the output. Only {' and '.join(CAPS)} are one")
    return names


def _droppable(names: tuple[str, ...]) -> tuple[str, ...]:
    _not_owned(names)
    return distinct(names)


def _in_range(params: dict[str, JsonValue]) -> dict[str, JsonValue]:
    for name in CAPS:
        value = params.get(name, 1)
        if type(value) is not int or not 1 <= value <= MOST_OUTPUT_TOKENS:
            raise ValueError(f"has a {name} that is no limit. Write a whole number above 0")
    return own_params(params)


class Adaptation(Spec):
    """How a request is changed for one model, and only for that one. What is left out stays as it is."""

    rename: Annotated[dict[Text, Text], AfterValidator(_renames)] = Field(
        default_factory=dict,
        description="Parameters that go by another name there, such as {max_tokens: max_completion_tokens}.",
    )
    drop: Annotated[tuple[Text, ...], Listed, AfterValidator(_droppable)] = Field(
        default=(), description="Parameters that it does not take, such as [temperature]."
    )
    extra: Annotated[dict[Text, JsonValue], AfterValidator(_in_range)] = Field(
        default_factory=dict,
        description="Further members of the request body. What the request has by the same name stays.",
    )
    prefix: Text | None = Field(
        default=None,
        description="Text in front of the last user message, or of a text for a vector; no template.",
    )
    suffix: Text | None = Field(
        default=None,
        description='Text after the last user message, such as " /no_think", or after a text for a vector; no template.',
    )
    system_role: bool = Field(
        default=True,
        description="false: it knows no system messages; their text goes in front of the first user message.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        both = [name for name in self.drop if name in self.rename]
        if both:
            raise ValueError(f"both renames and drops {both[0]}. Keep one of the two")
        return self

    @property
    def changes(self) -> bool:
        """Whether anything is different at all."""
        return bool(self.rename or self.drop or self.extra or self.words)

    @property
    def words(self) -> bool:
        """Whether messages are changed, not only parameters."""
        return self.prefix is not None or self.suffix is not None or not self.system_role

    def over(self, known: "Adaptation") -> "Adaptation":
        """What is known of the model, save where the job says something."""
        return known.model_copy(
            update={
                "rename": {old: new for old, new in known.rename.items() if old not in self.drop},
                "drop": tuple(name for name in known.drop if name not in self.rename),
                **{name: getattr(self, name) for name in self.model_fields_set},
            }
        )

    def told(self) -> str:
        """What is changed, in words."""
        said = [f"{old} is sent as {new}" for old, new in self.rename.items()]
        said += [f"without {', '.join(self.drop)}"] if self.drop else []
        said += [f"with {', '.join(self.extra)}"] if self.extra else []
        said += [f"a {name}" for name in ("prefix", "suffix") if getattr(self, name) is not None]
        said += [] if self.system_role else ["system text in the first user message"]
        return "; ".join(said)
