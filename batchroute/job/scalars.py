"""What a plain word of the job file means: the YAML 1.2 core schema, less what people read in two ways."""

import re
from typing import Final, TypeAlias

Scalar: TypeAlias = str | int | float | bool | None

_WORDS: Final[dict[str, Scalar]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_NUMBER: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LONGEST: Final = 18  # digits; every whole number of a job file fits into 64 bits
_TWO_WAYS: Final = (
    (re.compile(r"[-+]?0[0-9_]+"), "has a leading zero, which some readers take for octal"),
    (re.compile(r"[-+]?0[xXoObB][0-9a-fA-F_]+"), "is not a decimal number"),
    (
        re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(?:\.[0-9_]*)?"),
        "holds underscores, which not every reader drops",
    ),
    (re.compile(r"[-+]?[0-9]{1,3}(?::[0-5]?[0-9])+(?:\.[0-9]*)?"), "is a number in base 60 to some readers"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?"), "is a date to some readers"),
)
_NOT_FINITE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def resolve(text: str) -> Scalar:
    """The value of a plain scalar; raises ValueError, with advice, for one that has no single meaning."""
    if text in _WORDS:
        return _WORDS[text]
    for pattern, reason in _TWO_WAYS:
        if pattern.fullmatch(text):
            raise ValueError(f"{reason}. Write a plain decimal number, or put it in quotes if it is text")
    if _NOT_FINITE.fullmatch(text):
        raise ValueError("must be a finite number. Write a number, or put it in quotes if it is text")
    if _INTEGER.fullmatch(text):
        return _whole(text)
    return _number(text) if _NUMBER.fullmatch(text) else text


def _whole(text: str) -> int:
    if len(text.lstrip("+-")) > _LONGEST:
        raise ValueError("is too long for a number. Put it in quotes if it is text")
    return int(text)


def _number(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise ValueError("must be a finite number. Write a number, or put it in quotes if it is text")
    return number
