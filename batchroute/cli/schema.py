"""`batchroute schema`: the JSON Schema of job files."""

import json

import click


@click.command(short_help="Print the JSON Schema of job files.")
def schema() -> None:
    """Print the JSON Schema of job files, for completion in editors.

    \b
    batchroute schema > batchroute.schema.json
    and as the first line of a job file:
    # yaml-language-server: $schema=batchroute.schema.json
    """
    from batchroute.job.schema import job_schema

    click.echo(json.dumps(job_schema(), indent=2, ensure_ascii=False))
