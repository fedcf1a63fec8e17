"""`batchroute`: the group of commands, and how their errors become exit codes."""

import os
import sys
from contextlib import suppress
from importlib import import_module

import click

from batchroute import __version__
from batchroute.cli.streams import StdoutError, drop_stdout, tell_stdout_apart
from batchroute.core.errors import BatchrouteError, OutputError

STDERR = 2
COMMANDS = (
    "run", "plan", "check", "classify", "status", "report", "verify", "whatif", "models", "simulate", "init", "schema"
)  # fmt: skip


class Commands(click.Group):
    """Loads a command when it is asked for, and turns our errors into a message and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return super().get_command(ctx, name)
        command: click.Command = getattr(import_module(f"batchroute.cli.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        from batchroute.job.problems import nearest

        hint = nearest(name, COMMANDS) or f". There is {', '.join(COMMANDS)}."
        raise click.UsageError(f"there is no command {name!r}{hint}", ctx)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BatchrouteError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:  # before or after a run, which hears signals itself
            ctx.exit(130)
        except RuntimeError as error:  # so does Python 3.11 tell it while it makes a class
            if not isinstance(error.__cause__, KeyboardInterrupt):
                raise
            ctx.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="batchroute")
def batchroute() -> None:
    """Batch jobs for language models: classify, route, fail over, and a ledger of every attempt."""


def _open_standard_streams() -> None:
    """Give closed ones to nowhere: a file or socket that took their number would be written to as if it were one."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(os.dup(1), "w")
    sys.stderr = sys.stderr or os.fdopen(os.dup(2), "w")


def main() -> None:
    """The console script. A closed stdout (`| head`) ends quietly, one on a full disk with a line."""
    _open_standard_streams()
    tell_stdout_apart()
    try:
        try:
            batchroute(prog_name="batchroute")
        finally:
            sys.stdout.flush()  # or the interpreter does, too late to say anything
    except BrokenPipeError:
        drop_stdout()
        sys.exit(1)
    except StdoutError as error:
        drop_stdout()
        with suppress(OSError):
            click.echo(f"Error: stdout: {error.strerror}. Free space, or write it elsewhere.", err=True)
        sys.exit(OutputError.exit_code)


if __name__ == "__main__":
    main()
