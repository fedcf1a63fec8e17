"""How a value is told to a person: by the unit that its column's name ends with."""

import datetime as dt
from decimal import Decimal

from batchroute.job.durations import spelled

UNKNOWN = "-"


def cell(column: str, value: object) -> str:
    """A value of a column as text; a dash for what is not known."""
    if value is None:
        return UNKNOWN
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, dt.datetime):
        return f"{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, int | float) and column.endswith("_share"):
        return f"{value:.1%}"
    if isinstance(value, int | float) and column.endswith("_s"):
        return lasting(value)
    if isinstance(value, int | float):
        return f"{value:,}"
    return str(value)


def money(amount: Decimal | None) -> str:
    """USD with as many places as it takes to see something; a dash for unknown."""
    if amount is None:
        return UNKNOWN
    places = 2 if abs(amount) >= 1 or not amount else 4 if abs(amount) >= Decimal("0.01") else 6
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{places}f}"


def lasting(seconds: float) -> str:
    """A duration as short as it is still telling: 127 ms, 1.3 s, 4m20s."""
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else spelled(seconds)


def share(part: Decimal | int | None, whole: Decimal | int | None) -> str:
    """A part of a whole in percent; a dash where that means nothing."""
    if part is None or not whole:
        return UNKNOWN
    return f"{part / whole:.0%}"


def counted(count: int, thing: str) -> str:
    """A number of things whose plural ends with s: 1 record, 2,000 records."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def clipped(name: str, most: int) -> str:
    """A name that fits where there is little room."""
    return name if len(name) <= most else f"{name[: most - 1]}…"
