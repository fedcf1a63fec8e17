"""A stage of jobs/stages.yaml in Python: it is given the fields of many records at once."""

from typing import Any


def label(records: list[dict[str, Any]]) -> list[tuple[str, float] | None]:
    """Programs show by their signs; the more of them, the surer."""
    return [_code(record["text"] or "") for record in records]


def _code(text: str) -> tuple[str, float] | None:
    signs = sum(sign in text for sign in ("```", "();", "Traceback", "def ", "=>", "SELECT "))
    return ("code", min(0.5 + 0.2 * signs, 1.0)) if signs else None
