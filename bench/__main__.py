"""Why: the command line: `python -m bench kill` and its sisters. It reads options, sets the exit code; no more."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench import running

cli = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
Minutes = Annotated[float, typer.Option(help="It ends itself after this time.")]


@cli.command()
def kill(
    messages: Annotated[int, typer.Option(help="How many messages are sent.")] = 10_000,
    kills: Annotated[int, typer.Option(help="How often a runner is killed.")] = 96,
    faults: Annotated[int, typer.Option(help="How often the simulators do wrong.")] = 96,
    people: Annotated[int, typer.Option(help="How many write, to both bots.")] = 40,
    rate: Annotated[float, typer.Option(help="Messages a second, to both bots together.")] = 25,
    seed: Annotated[int | None, typer.Option(help="Of a run that is to be repeated.")] = None,
    minutes: Minutes = 30,
) -> None:
    """Kills runners at random and at each step; counts lost, doubled, out of order as the receivers see it."""
    from bench.kill.run import Options, run

    options = Options(messages, kills, faults, people, rate, seed)
    sys.exit(running.run(run(options), minutes=minutes))


@cli.command()
def reply(
    rounds: Annotated[int, typer.Option(help="Floor and runner in turn, so many times.")] = 5,
    single: Annotated[int, typer.Option(help="Messages in one chat, a round.")] = 200,
    loaded: Annotated[int, typer.Option(help="Messages at 84/s over 50 chats, a round.")] = 840,
    saturated: Annotated[int, typer.Option(help="Messages as fast as they are answered, a round.")] = 1500,
    minutes: Minutes = 15,
) -> None:
    """Answer overhead and answers a second, beside a bare Telethon echo bot."""
    from bench.reply.run import Options, run

    sys.exit(running.run(run(Options(rounds, single, loaded, saturated)), minutes=minutes))


@cli.command()
def memory(
    messages: Annotated[int, typer.Option(help="How many messages it answers.")] = 10_000,
    step: Annotated[int, typer.Option(help="It is weighed each time after so many.")] = 1000,
    minutes: Minutes = 15,
) -> None:
    """RSS and PSS of a connected idle runner and their growth, beside a process that only imports its libraries."""
    from bench.memory.run import Options, run

    sys.exit(running.run(run(Options(messages, step)), minutes=minutes))


@cli.command()
def soak(
    minutes: Annotated[float, typer.Option(help="How long people write and things go wrong.")] = 30,
    bots: Annotated[int, typer.Option(help="How many; every second one is a person's account.")] = 3,
    receiving: Annotated[
        float, typer.Option(help="The least share of the time in which messages must be taken in.")
    ] = 0.99,
) -> None:
    """Several bots for a while, six faults on the way: what grows, what is left, and whether all was answered."""
    from bench.soak.run import Options, run

    sys.exit(running.run(run(Options(minutes, bots, receiving)), minutes=minutes + 15))


@cli.command()
def storm(
    objects: Annotated[int, typer.Option(help="How many bots.")] = 500,
    kills: Annotated[int, typer.Option(help="How often the operator is killed.")] = 20,
    events: Annotated[float, typer.Option(help="What happens to each bot, on average, beyond its creation.")] = 4,
    namespaces: Annotated[int, typer.Option(help="Among how many namespaces they are spread.")] = 5,
    seed: Annotated[int | None, typer.Option(help="Of a storm that is to be repeated.")] = None,
    minutes: Minutes = 30,
) -> None:
    """Bots made, edited and deleted at random, the operator killed, its API server at fault: is all as wanted in the end?"""
    from bench.storm import Options, run

    sys.exit(running.run(run(Options(objects, kills, events, namespaces, seed)), minutes=minutes))


@cli.command()
def operator(
    sizes: Annotated[
        str, typer.Option(help="Numbers of bots, separated by commas; each with servers of its own.")
    ] = "10,100,1000",
    idle: Annotated[float, typer.Option(help="Seconds in which nothing happens, for CPU and writes at rest.")] = 300,
    into: Annotated[
        Path | None, typer.Option(help="A folder where figures are kept with earlier ones, and drawn.")
    ] = None,
    minutes: Minutes = 45,
) -> None:
    """The operator at several sizes: children made, harmed and restored, restart, memory, idle, beside bare loops."""
    from bench.operator.run import Options, run

    wanted = tuple(int(size) for size in sizes.split(","))
    sys.exit(running.run(run(Options(wanted, idle, into)), minutes=minutes))


@cli.callback()
def _root() -> None:
    """Benchmarks."""


if __name__ == "__main__":
    cli()
