"""`batchroute models`: the models of the shipped price list, with their prices."""

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batchroute.core.money import Price
    from batchroute.io.prices import KnownModel

from batchroute.cli.imports import quick_imports
from batchroute.cli.options import json_option

UNKNOWN: Final = "?"


@click.command(short_help="List known models with their prices.")
@click.option("--provider", metavar="P", help="Of this provider only, as the price list calls it.")
@click.option(
    "--sort",
    "by",
    type=click.Choice(("price", "context", "name")),
    help="Cheapest first, largest context first, or by name. Default: as the list has them.",
)
@json_option
def models(provider: str | None, by: str | None, as_json: bool) -> None:
    """List the models whose prices are known without declaring them: USD per million tokens, as of today (UTC).

    Nothing is downloaded: the list is the one that the installed genai-prices ships. A price that it does not tell
    is null; `price` in a job file says it, and wins over the list.
    """
    import datetime as dt

    with quick_imports():
        import msgspec

        from batchroute.engine.clock import Clock
        from batchroute.io.prices import known_models

    today = dt.datetime.fromtimestamp(Clock().wall(), dt.UTC).date()
    found = _sorted(known_models(today, provider), by)
    if as_json:
        written = {"on": today, "unit": "USD per million tokens", "models": found}
        sys.stdout.buffer.write(msgspec.json.Encoder(decimal_format="number").encode(written) + b"\n")
        return
    click.echo("\n".join(_lines(found)))
    click.echo(f"{len(found):,} models. USD per million tokens on {today}.")


def _sorted(found: "list[KnownModel]", by: str | None) -> "list[KnownModel]":
    """What is unknown comes last."""
    match by:
        case "price":
            return sorted(
                found, key=lambda one: (one.price is None, _both(one.price), one.provider, one.model)
            )
        case "context":
            return sorted(
                found, key=lambda one: (one.context is None, -(one.context or 0), one.provider, one.model)
            )
        case "name":
            return sorted(found, key=lambda one: (one.model, one.provider))
    return found


def _both(price: "Price | None") -> Decimal:
    return Decimal(0) if price is None else price.input + price.output


def _lines(found: "Sequence[KnownModel]") -> "Iterator[str]":
    head = ["provider", "model", "input", "output", "cached", "written", "batch", "context"]
    rows = [head, *(_row(one) for one in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        words = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join(words + numbers)


def _row(one: "KnownModel") -> list[str]:
    context = UNKNOWN if one.context is None else f"{one.context:,}"
    price = one.price
    if price is None:
        return [one.provider, one.model, *[UNKNOWN] * 5, context]
    batch = price.tiers.get("batch")
    paired = "" if batch is None else f"{_told(batch.input)} / {_told(batch.output)}"
    more = "+" if price.above else ""
    told = [_told(amount) for amount in (price.input, price.output, price.cached, price.cache_write)]
    return [one.provider, one.model, told[0] + more, *told[1:], paired, context]


def _told(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount.normalize():f}"
