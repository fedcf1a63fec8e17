"""`batchroute simulate`: the simulated provider as a server."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchroute.job.simulation import Simulation

from batchroute.cli.interrupts import interruptible
from batchroute.cli.options import overrides_option


@click.command(short_help="Serve the simulated provider.")
@click.argument(
    "job", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False, metavar="[JOB]"
)
@overrides_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for any free port."
)
@click.option("--provider", help="The simulated provider of JOB to serve, if it has several.")
def simulate(
    job: Path | None, overrides: tuple[str, ...], host: str, port: int, provider: str | None
) -> None:
    """Serve an OpenAI-compatible API of simulated models, until interrupted.

    The models are those of JOB's simulated provider, or the shipped ones: sim-small, sim-medium and sim-large.
    """
    import asyncio

    import uvloop

    from batchroute.job.simulation import Simulation
    from batchroute.providers.simulator.server import serve_forever

    simulation = Simulation()
    if job is not None:
        simulation = _of_job(job, overrides, provider)

    def ready(url: str) -> None:
        click.echo(f"Serving {', '.join(simulation.models)} on {url}; stop with Ctrl-C.", err=True)

    try:
        with interruptible(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve_forever(simulation, host=host, port=port, ready=ready))
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error


def _of_job(job: Path, overrides: tuple[str, ...], provider: str | None) -> "Simulation":
    from batchroute.job.loading import load_job

    loaded = load_job(job, overrides=overrides)
    simulated = {name: spec.simulation for name, spec in loaded.providers.items() if spec.simulation}
    if provider is None and len(simulated) == 1:
        [simulation] = simulated.values()
        return simulation
    if provider not in simulated:
        names = ", ".join(simulated) or "none"
        raise click.UsageError(f"name a simulated provider of the job with --provider (it has: {names})")
    return simulated[provider]
