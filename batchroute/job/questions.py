"""What a stage of classification asks a model, as a job file declares it."""

from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field

from batchroute.job.spec import Listed, Positive, Spec, Text

SEPARATOR: Final = "|"
NONE: Final = "none"
"""What a model answers where no label fits."""
MOST_CHARS: Final = 64


def _plain(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse labels that could not be told apart in an answer."""
    seen: dict[str, str] = {}
    for label in labels:
        if SEPARATOR in label or not label.isprintable() or label != label.strip() or len(label) > MOST_CHARS:
            raise ValueError(
                f"has the label {label!r}, which an answer cannot hold. Write one line of at most "
                f"{MOST_CHARS} characters, without {SEPARATOR} and without blanks around it"
            )
        if label.lower() == NONE:
            raise ValueError(f"has the label {label!r}, which stands for no label. Remove it")
        first = seen.setdefault(label.lower(), label)
        if first is not label:
            raise ValueError(f"has {label!r} beside {first!r}. Keep one of them: case is no matter")
    return labels


AnswerLabels: TypeAlias = Annotated[tuple[Text, ...], Listed, Field(min_length=1), AfterValidator(_plain)]


class LabelQuestion(Spec):
    """Which model labels the records that the stages before left undecided, and what it is shown of them."""

    model: Text = Field(description="One of `models`: a cheap and fast one.")
    labels: AnswerLabels = Field(description="The tasks it chooses from, such as [chat, code, reason].")
    complexity: bool = Field(
        default=False, description="Ask also how demanding the record is: simple, medium or hard."
    )
    max_chars: Annotated[Positive, Field(le=100_000)] = Field(
        default=500, description="How much of the beginning of each text it is shown, in characters."
    )
    batch: Annotated[Positive, Field(le=100)] = Field(
        default=1, description="Records that one request asks about."
    )
