"""Why: the command line. It parses, prints and sets exit codes; everything else is elsewhere.

Exit codes: 0 a clean end, 1 the runner failed, 2 the command or its files cannot be used.
"""

import asyncio
import functools
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


Files = Annotated[
    list[Path],
    typer.Option(
        "--file",
        "-f",
        help="The manifest: the same that `kubectl apply -f` takes. Again for each further file, with Secrets say.",
    ),
]
Name = Annotated[str | None, typer.Option(help="Which TelegramBot of the file, when it has several.")]
Secrets = Annotated[
    Path | None,
    typer.Option(help="Folder with Secrets as DIR/NAME/KEY; those in the files are used besides."),
]


@cli.command()
def run(
    file: Files,
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
    if sys.stderr.isatty():
        from botrunner.terminal import described

        typer.echo(f"{prepared.full_name}: the bot that runs now", err=True)
        typer.echo(described.table(described.rows(prepared)), err=True)
    sys.exit(_run(prepared))


@cli.command()
def check(file: Files, name: Name = None, secrets: Secrets = None) -> None:
    """Says all that is wrong with a manifest and its secrets.

    It connects to nobody: what Telegram and the model think of the credentials
    is seen when the bot runs. Exit code 0: it can run (warnings do not count);
    2: it cannot.
    """
    from botrunner.config import ConfigError, from_environment

    _without_words()
    try:
        settings = from_environment(file[0], beside=tuple(file[1:]), name=name, secrets_dir=secrets)
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
        typer.echo(f"{typer.style('good', fg='green')}     {file[0]}: {prepared.full_name} will be")
        typer.echo(described.table(described.rows(prepared)))
    if report.mistakes:
        raise typer.Exit(2)


@cli.command()
def chat(file: Files, name: Name = None, secrets: Secrets = None) -> None:
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


@cli.command()
def login(
    file: Files,
    name: Name = None,
    secrets: Secrets = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file to write; default: the Secret's name and .yaml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
    qr: Annotated[
        bool, typer.Option("--qr", help="Scan a code with a phone that is logged in: nothing to type.")
    ] = False,
) -> None:
    """Logs a person's account in and writes the Secret with its session.

    Asks for the phone number, the code that Telegram sends and, where there is
    one, the password; with --qr it draws a code that the Telegram app scans
    instead. The session is a new one and is never shown: the file is
    for you alone, and is what `sessionSecretRef` of the manifest names.
    Bot accounts need no login: the token is enough.
    """
    prepared = _prepared(file, name, secrets)
    from botrunner import logs
    from botrunner.prepare import CredentialsError, read_application
    from botrunner.terminal.lines import Lines, NoMoreLinesError
    from botrunner.terminal.login import LoginError, Person
    from botrunner.terminal.login import login as log_in

    logs.set_up("console", "error", prepared.full_name)
    reference = prepared.spec.account.session_secret_ref
    if reference is None:
        _refuse(LoginError(f"{prepared.full_name} is a Bot account: it needs no login, its token is enough"))
    if qr and not sys.stderr.isatty():
        _refuse(LoginError("--qr draws a code to be scanned: run it at a terminal, or log in without --qr"))
    output = output or Path(f"{reference.name}.yaml")
    ask = functools.partial(typer.echo, err=True, nl=False)
    try:
        api, server = read_application(prepared)
        person = Person(Lines(ask), ask)
        with asyncio.Runner() as runner:
            me = runner.run(
                log_in(api, server, person, prepared.bot.metadata, reference, output, force=force, by_scan=qr)
            )
    except (CredentialsError, LoginError) as error:
        _refuse(error)
    except (KeyboardInterrupt, NoMoreLinesError):
        typer.echo(err=True)
        _refuse(LoginError("ended before the account was logged in; nothing was written"))
    files = " ".join(f"-f {path}" for path in (*file, output))
    folder = f" --secrets {secrets}" if secrets else ""
    typer.echo(
        f"Logged in{f' as @{me.username}' if me.username else ''}. The session is in {output}; only you can read it."
    )
    typer.echo(f"In a cluster:  kubectl apply -f {output}")
    typer.echo(f"Alone:         botrunner run {files}{folder}")
    typer.echo("Use it in one place only: in two at once, Telegram ends it for good.")


def _prepared(
    file: list[Path], name: str | None, secrets: Path | None, data: Path | None = None, health: str | None = None
) -> "Prepared":
    """The manifest, or the end of the process with what is wrong with it."""
    _without_words()
    from botfleet.effective import IncompleteError
    from botfleet.manifest import ManifestError
    from botrunner.config import ConfigError, from_environment

    try:
        settings = from_environment(
            file[0], beside=tuple(file[1:]), name=name, secrets_dir=secrets, data_dir=data, health_address=health
        )
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
