"""Why: the command line. It parses, prints and sets exit codes; everything else is elsewhere.

Exit codes: 0 a clean end, 1 the runner failed, 2 the command or its files cannot be used.
"""

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

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


File = Annotated[Path, typer.Option("--file", "-f", help="The manifest: the same that `kubectl apply -f` takes.")]
Name = Annotated[str | None, typer.Option(help="Which TelegramBot of the file, when it has several.")]
Secrets = Annotated[
    Path | None,
    typer.Option(help="Folder with the Secrets as DIR/NAME/KEY; default: Secrets in the manifest's file."),
]


@cli.command()
def run(
    file: File,
    name: Name = None,
    secrets: Secrets = None,
    data: Annotated[Path | None, typer.Option(help="Folder for the bot's data when it runs alone.")] = None,
    health: Annotated[str | None, typer.Option(help="HOST:PORT for /livez, /readyz and /metrics.")] = None,
) -> None:
    """Runs the bot until Ctrl-C or SIGTERM.

    Alone it keeps its data in SQLite and needs Telegram and the model only.
    Ctrl-C lets it finish what it is answering; a second one ends it at once,
    and then nothing is lost either.
    """
    prepared = _prepared(file, name, secrets, data, health)
    sys.exit(_run(prepared))


@cli.command()
def check(file: File, name: Name = None, secrets: Secrets = None) -> None:
    """Says all that is wrong with a manifest and its secrets.

    It connects to nobody: what Telegram and the model think of the credentials
    is seen when the bot runs. Exit code 0: it can run (warnings do not count);
    2: it cannot.
    """
    from botrunner.config import ConfigError, from_environment

    _without_words()
    try:
        settings = from_environment(file, name=name, secrets_dir=secrets)
    except ConfigError as error:
        _refuse(error)
    from botrunner.terminal import described
    from botrunner.terminal.check import check as look

    report = look(settings)
    for warning in report.warnings:
        typer.echo(f"{typer.style('warning', fg='yellow')}  {warning}")
    for mistake in report.mistakes:
        typer.echo(f"{typer.style('error', fg='red')}    {mistake}")
    for prepared in report.good:
        typer.echo(f"{typer.style('good', fg='green')}     {file}: {prepared.full_name} will be")
        typer.echo(described.table(described.rows(prepared)))
    if report.mistakes:
        raise typer.Exit(2)


@cli.command()
def chat(file: File, name: Name = None, secrets: Secrets = None) -> None:
    """Talks with the bot's persona and model here, without Telegram.

    The rules, the prompt and the sentence that says who writes are the bot's own.
    Nothing is kept. /quit, Ctrl-D or Ctrl-C ends it; lines may come from a pipe.
    Only the model's key is needed of the Secrets.
    """
    prepared = _prepared(file, name, secrets)
    from botrunner import logs
    from botrunner.prepare import CredentialsError, read_model_keys
    from botrunner.terminal import chat as talk
    from botrunner.terminal import described

    logs.set_up("console", "error", prepared.full_name)
    try:
        key = read_model_keys(prepared)[0]
    except CredentialsError as error:
        _refuse(error)
    at_terminal = sys.stdin.isatty()
    if at_terminal:
        typer.echo(f"{prepared.full_name}, answered by {described.model(prepared.spec)}. Nothing of this is kept.")
        typer.echo("/quit, Ctrl-D or Ctrl-C ends it.\n")
    try:
        answered = talk.chat(prepared.spec, prepared.bot.metadata.name, key, at_terminal=at_terminal, show=typer.echo)
    except KeyboardInterrupt:
        answered = True
    if at_terminal:
        typer.echo()
    if not answered and not at_terminal:
        raise typer.Exit(1)


def _prepared(
    file: Path, name: str | None, secrets: Path | None, data: Path | None = None, health: str | None = None
) -> "Prepared":
    """The manifest, or the end of the process with what is wrong with it."""
    _without_words()
    from botfleet.effective import IncompleteError
    from botfleet.manifest import ManifestError
    from botrunner.config import ConfigError, from_environment

    try:
        settings = from_environment(file, name=name, secrets_dir=secrets, data_dir=data, health_address=health)
        from botrunner.prepare import prepare

        return prepare(settings)
    except (ConfigError, ManifestError, IncompleteError) as error:
        _refuse(error)


def _without_words() -> None:
    from botrunner.logs import tell_uncaught_without_words

    tell_uncaught_without_words()  # from the first line that reads a secret on


def _refuse(error: Exception) -> NoReturn:
    typer.echo(f"botrunner: {error}", err=True)
    raise typer.Exit(2) from error


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
