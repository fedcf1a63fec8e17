"""Arguments and options that several commands share."""

from pathlib import Path

import click

from batchroute.job.durations import seconds


class Duration(click.ParamType[float]):
    """A time such as 30s, 5m or 1h, in seconds."""

    name = "duration"

    def convert(self, value: float | str, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return seconds(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}.", param, ctx)


job_argument = click.argument(
    "job", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="JOB"
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
