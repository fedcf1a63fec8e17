"""`batchroute check JOB`: whether a job would run, without sending a record."""

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchroute.job.jobs import Job

from batchroute.cli.imports import quick_imports
from batchroute.cli.options import job_argument, overrides_option, profile_option, with_profile
from batchroute.core.errors import InputError, NoModelError
from batchroute.report.cells import counted

PING_TIMEOUT_S = 10.0


@click.command(short_help="Check a job file, its environment and its input.")
@job_argument
@overrides_option
@profile_option
@click.option("--ping", is_flag=True, help="Ask each provider for its list of models, which costs nothing.")
def check(job: Path, overrides: tuple[str, ...], profile: str | None, ping: bool) -> None:
    """Check JOB without sending a record: the file, the environment, the first rows of its input.

    Shows how the first records are classified and routed, and the first request as it would be sent.
    """
    import asyncio

    with quick_imports():
        from batchroute.engine.previews import preview
        from batchroute.job.loading import load_job

    loaded = load_job(job, overrides=with_profile(overrides, profile))
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    seen = asyncio.run(preview(loaded))
    for warning in seen.warnings:
        click.echo(f"Warning: {warning}", err=True)
    click.echo(f"{job}: the job file is right.")
    click.echo(
        f"input: {counted(len(seen.files), 'file')}, {counted(seen.bytes_total, 'byte')}; looked at {counted(seen.records, 'record')}"
    )
    for route, count in _by_route(seen.routes, loaded.routes):
        click.echo(f"  route {route}: {count:,}")
    for stage, texts in seen.inquired.items():
        click.echo(
            f"  {stage} would be asked about {counted(texts, 'text')}; here they go by the other stages"
        )
    if seen.begun:
        click.echo("asked first: " + ", ".join(f"{model} {count:,}" for model, count in seen.begun.items()))
    for place, fault in seen.faults[:5]:
        click.echo(f"  {place}: {fault.error_type}: {fault.message}", err=True)
    if seen.faults:
        click.echo(f"{len(seen.faults):,} of {counted(seen.records, 'record')} cannot be sent", err=True)
    if seen.unpriced:
        click.echo(
            f"Warning: no price is known for {', '.join(seen.unpriced)}: their cost will be null.", err=True
        )
    for adapted in seen.adapted:
        click.echo(f"adapted for {adapted}")
    if seen.request is not None:
        click.echo(f"first request: {seen.request}")
    if ping and not _ping(loaded):
        sys.exit(NoModelError.exit_code)
    if seen.unusable:
        raise InputError(seen.unusable, code="input_mostly_bad")


def _by_route(taken: Iterable[str], declared: Iterable[str]) -> list[tuple[str, int]]:
    """Records by the route that takes them, most first; of none at all, none.

    A route that nothing came to is told, too: a misspelt label, or labels that no stage gives, show nowhere else.
    """
    counts = Counter(taken)
    if not counts:
        return []
    return [*counts.most_common(), *((route, 0) for route in declared if route not in counts)]


def _ping(job: "Job") -> bool:
    """Ask every provider; True when all of them answer."""
    import asyncio

    with quick_imports():
        from batchroute.providers.connections import connected

    async def ask() -> bool:
        async with connected(job) as providers:
            failures = {name: await provider.ping(PING_TIMEOUT_S) for name, provider in providers.items()}
        for name, failure in failures.items():
            click.echo(
                f"{name}: {'answers' if failure is None else failure.message}", err=failure is not None
            )
        return not any(failures.values())

    return asyncio.run(ask())
