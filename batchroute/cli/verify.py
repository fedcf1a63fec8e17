"""`batchroute verify OUT`: whether every file of a dataset is what it was when it was written."""

import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchroute.engine.verifications import Verified

from batchroute.cli.imports import quick_imports
from batchroute.cli.options import json_option, output_argument
from batchroute.core.errors import OutputError


@click.command(short_help="Check every file of an output directory; repair what can be.")
@output_argument
@click.option(
    "--repair", is_flag=True, help="Write anew what can be had again without a request. Pays for nothing."
)
@json_option
def verify(output: Path, repair: bool, as_json: bool) -> None:
    """Check every file of the output directory OUT: each part by its SHA-256, the manifest, the state, the routes.

    Names each file that is damaged, missing or foreign. What the state still holds, and what can be computed, is
    written anew with --repair; answers whose part is gone are not: they would have to be paid for again.

    \b
    Exit codes: 0 all is as it was written, or is put in order by the next run; 74 something is damaged;
    75 a run holds the directory.
    """
    import asyncio

    with quick_imports():
        from batchroute.engine.verifications import Routes
        from batchroute.engine.verifications import verify as verify_output
        from batchroute.report.routes import refresh_routes, routes_agree, spent

    routes = Routes(agree=routes_agree, write=refresh_routes)
    verified = asyncio.run(verify_output(output, routes, repair=repair))
    exit_code = OutputError.exit_code if verified.damaged else 0
    lost = any(finding.lost for finding in verified.damaged)
    untold = any(finding.path.startswith("ledger/") for finding in verified.damaged)
    paid = spent(output) if lost and not untold else None
    if as_json:
        sys.stdout.buffer.write(_json(output, verified, exit_code, paid) + b"\n")
    else:
        click.echo("\n".join(_lines(verified, lost=lost, paid=paid)))
    sys.exit(exit_code)


def _json(output: Path, verified: "Verified", exit_code: int, paid: Decimal | None) -> bytes:
    import msgspec

    told = {
        "output": str(output),
        "exit_code": exit_code,
        "parts": verified.parts,
        "rows": verified.rows,
        "findings": verified.findings,
        "repaired": verified.repaired,
        "fresh_cost_usd": None if paid is None else float(paid),
    }
    return msgspec.json.encode(told)


def _lines(verified: "Verified", *, lost: bool, paid: Decimal | None) -> list[str]:
    """What a person is told, a line each."""
    lines = [f"repaired: {finding}" for finding in verified.repaired]
    lines += [str(finding) for finding in verified.findings]
    listed = f"{verified.parts:,} parts with {verified.rows:,} rows"
    if not verified.damaged:
        lines.append(f"{listed}: all as they were written")
        if verified.findings:
            lines.append("the next run, or --repair, puts the rest in order")
        return lines
    lines.append(f"{listed}; {len(verified.damaged):,} damaged, missing or foreign")
    if any(finding.repairable for finding in verified.damaged):
        foreign = [finding.path for finding in verified.damaged if finding.in_the_way and not finding.lost]
        once = f", once {' and '.join(foreign)} is moved away: it has the name of a part" if foreign else ""
        lines.append(f"--repair writes anew what can be had again without a request{once}")
    if lost:
        cost = (
            "what that has cost so far is unknown" if paid is None else f"so far that has cost ${paid:,.2f}"
        )
        lines.append(
            "what is lost is in no other file: put back a copy of it, or start over with "
            f"`batchroute run JOB --fresh`, which pays for every record again: {cost}"
        )
    return lines
