"""The command line: `telegram`, `model`, `keygen`.

It must never do more than read options and hand them on.
"""

from pathlib import Path
from typing import Annotated

import typer

from botfleet_simulator import log, serving

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Host = Annotated[str, typer.Option(help="Address to listen on.")]
AdminHost = Annotated[str, typer.Option(help="Address of the admin port. Keep it away from what is tested.")]
LogLevel = Annotated[str, typer.Option(help="debug, info, warning or error.", envvar="BOTFLEET_SIMULATOR_LOG_LEVEL")]


@app.command()
def telegram(
    state: Annotated[Path, typer.Option(help="Folder for state and key; made when absent.")],
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="MTProto port; 0: a free one.")] = 8443,
    admin_host: AdminHost = "127.0.0.1",
    admin_port: Annotated[int, typer.Option(help="Admin port; 0: a free one.")] = 8444,
    public_host: Annotated[str | None, typer.Option(help="Name or address told to clients, if not --host.")] = None,
    private_key: Annotated[
        Path | None, typer.Option(help="RSA key (PEM) instead of one made in the state folder.")
    ] = None,
    accounts: Annotated[
        Path | None, typer.Option(help="YAML file of bots, people and groups that exist from the start.")
    ] = None,
    log_level: LogLevel = "info",
) -> None:
    """Serve a simulated Telegram (MTProto)."""
    from botfleet_simulator.telegram.app import Options, serve
    from botfleet_simulator.telegram.keyfile import KeyFileError
    from botfleet_simulator.telegram.seed import SeedError

    log.configure(log_level)
    options = Options(state, host, port, admin_host, admin_port, public_host, private_key, accounts)
    try:
        serving.run(lambda: serve(options))
    except (SeedError, KeyFileError, OSError) as error:
        typer.echo(f"botfleet-simulator: {error}", err=True)
        raise typer.Exit(2) from error


@app.command()
def model(
    host: Host = "127.0.0.1",
    port: Annotated[int, typer.Option(help="HTTP port; 0: a free one.")] = 8080,
    admin_host: AdminHost = "127.0.0.1",
    admin_port: Annotated[int, typer.Option(help="Admin port; 0: a free one.")] = 8081,
    answers: Annotated[Path | None, typer.Option(help="YAML file of answers; default: built-in ones.")] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File with the API keys that are accepted, one a line; default: any.")
    ] = None,
    log_level: LogLevel = "info",
) -> None:
    """Serve a simulated language model (OpenAI-compatible)."""
    from botfleet_simulator.model.answers import AnswersError
    from botfleet_simulator.model.app import Options, serve

    log.configure(log_level)
    options = Options(host, port, admin_host, admin_port, answers, keys)
    try:
        serving.run(lambda: serve(options))
    except (AnswersError, OSError) as error:
        typer.echo(f"botfleet-simulator: {error}", err=True)
        raise typer.Exit(2) from error


@app.command()
def keygen(
    out: Annotated[Path, typer.Option(help="File for the private key; the public one goes to FILE.pub.")],
) -> None:
    """Make an RSA key for the Telegram server."""
    from botfleet_simulator.telegram import keyfile

    keyfile.generate(out)
    public = out.with_name(out.name + ".pub")
    public.write_text(keyfile.load(out).public_pem, encoding="ascii")
    typer.echo(str(public))


def main() -> None:
    """Entry point."""
    app()
