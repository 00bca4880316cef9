"""Why: the command line. It parses, prints and sets exit codes; everything else is elsewhere.

Exit codes: 0 a clean end, 1 the runner failed, 2 the command or its files cannot be used.
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from botrunner import __version__

if TYPE_CHECKING:
    from botrunner.prepare import Prepared

cli = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="One bot: Telegram in, model, Telegram out.",
    pretty_exceptions_enable=False,
)


@cli.callback()
def _root() -> None:
    """One bot: Telegram in, model, Telegram out."""


@cli.command()
def version() -> None:
    """Prints the version."""
    typer.echo(__version__)


@cli.command()
def run(
    file: Annotated[Path, typer.Option("--file", "-f", help="The manifest: the same that `kubectl apply -f` takes.")],
    name: Annotated[str | None, typer.Option(help="Which TelegramBot of the file, when it has several.")] = None,
    secrets: Annotated[
        Path | None,
        typer.Option(help="Folder with the Secrets as DIR/NAME/KEY; default: Secrets in the manifest's file."),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder for the bot's data when it runs alone.")] = None,
    health: Annotated[str | None, typer.Option(help="HOST:PORT for /livez, /readyz and /metrics.")] = None,
) -> None:
    """Runs the bot until SIGTERM or Ctrl-C."""
    from botrunner.logs import tell_uncaught_without_words

    tell_uncaught_without_words()  # from the first line that reads a secret on
    from botfleet.effective import IncompleteError
    from botfleet.manifest import ManifestError
    from botrunner.config import ConfigError, from_environment

    try:
        settings = from_environment(file, name=name, secrets_dir=secrets, data_dir=data, health_address=health)
        from botrunner.prepare import prepare

        prepared = prepare(settings)
    except (ConfigError, ManifestError, IncompleteError) as error:
        typer.echo(f"botrunner: {error}", err=True)
        raise typer.Exit(2) from error
    sys.exit(_run(prepared))


def _run(prepared: "Prepared") -> int:
    import uvloop

    from botrunner.app import serve

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(serve(prepared))


def main() -> None:
    """What the console script runs."""
    cli()


if __name__ == "__main__":
    main()
