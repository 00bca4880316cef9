"""Why: the command behind `make demo`, `make demo-down`, `make chat` and `make try`."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from botfleet_tools.errors import ToolError
from botfleet_tools.progress import Progress

cli = typer.Typer(add_completion=False, no_args_is_help=True, help="The demo.", pretty_exceptions_enable=False)
console = Console(highlight=False, soft_wrap=True)


@cli.command()
def up() -> None:
    """A cluster, the platform installed by Helm, three bots applied, a conversation held and shown."""
    from botfleet_tools.demo import cluster_demo

    cluster_demo.up(console, Progress())


@cli.command()
def down() -> None:
    """Removes the demo's cluster and all that it made."""
    from botfleet_tools.demo import cluster_demo

    cluster_demo.down(Progress())


@cli.command()
def chat(bot: str = typer.Argument("", help="namespace/name of a TelegramBot of the demo")) -> None:
    """A chat of your own with a bot of the demo."""
    from botfleet_tools.demo import cluster_demo

    cluster_demo.talk_with(bot, console)


@cli.command("try")
def try_() -> None:
    """A simulated Telegram, one bot on SQLite, and a chat with it in this terminal."""
    from botfleet_tools.demo import alone

    alone.run(console)


def main() -> None:
    """Console script; an error for people is shown without a traceback."""
    try:
        cli()
    except ToolError as error:
        console.print(f"[red]botfleet-demo:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
