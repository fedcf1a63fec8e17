"""Arguments and options that several commands share."""

import datetime as dt
from pathlib import Path

import click

from batchroute.job.durations import seconds
from batchroute.job.moments import Since, since


class Duration(click.ParamType[float]):
    """A time such as 30s, 5m or 1h, in seconds."""

    name = "duration"

    def convert(self, value: float | str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return seconds(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)


class Moment(click.ParamType[Since]):
    """A date, a date with a time, or how long ago: 2026-11-20, 2026-11-20T06:00, 24h."""

    name = "moment"

    def convert(
        self,
        value: str | dt.datetime | dt.timedelta,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Since:
        if not isinstance(value, str):
            return value
        try:
            return since(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)


job_argument = click.argument(
    "job", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="JOB"
)
profile_option = click.option(
    "--profile",
    type=click.Choice(["budget", "balanced", "quality"]),
    help="Which models of routes with profiles answer. Default: as the job says, or balanced.",
)
output_argument = click.argument(
    "output", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="OUT"
)
overrides_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override a key of the job file, such as models.mini.limits.rpm=500. Repeatable.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")


def with_profile(overrides: tuple[str, ...], profile: str | None) -> tuple[str, ...]:
    """What --set and --profile override together."""
    return overrides if profile is None else (*overrides, f"profile={profile}")
