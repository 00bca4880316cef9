"""The command botfleet-cluster: up, down, status, load-image, kubeconfig, path.

What a script reads goes to standard output; everything for people goes to standard error.
"""

import enum
import sys
from pathlib import Path
from typing import Annotated

import typer

from botfleet_tools.cluster import cleanup, process
from botfleet_tools.cluster.cluster import Cluster, choose, remove
from botfleet_tools.cluster.names import DEFAULT_NAME, ClusterError
from botfleet_tools.cluster.state import load, run_dir
from botfleet_tools.errors import ToolError
from botfleet_tools.progress import Progress

NOT_RUNNING = 3

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)


class Provider(enum.StrEnum):
    """How a cluster is made."""

    AUTO = "auto"
    KIND = "kind"
    PROCESS = "process"


Name = Annotated[str, typer.Option("--name", help="The cluster's name.", envvar="BOTFLEET_CLUSTER")]


@app.command()
def check(
    name: Name = DEFAULT_NAME,
    provider: Annotated[Provider, typer.Option(help="auto: kind where Docker runs, else process.")] = Provider.AUTO,
) -> None:
    """Name what `up` needs and does not install itself; silent, with exit code 0, when all is there."""
    if choose(name, provider.value) == "process":
        process.check()


@app.command()
def up(
    name: Name = DEFAULT_NAME,
    provider: Annotated[Provider, typer.Option(help="auto: kind where Docker runs, else process.")] = Provider.AUTO,
    audit: Annotated[bool, typer.Option("--audit", help="Log every API request's metadata.")] = False,
) -> None:
    """Start the cluster if it does not run, and print how to use it."""
    cluster = Cluster.ensure(name, provider.value, Progress(), audit=audit)
    print("\n".join(cluster.exports()))


@app.command()
def down(name: Name = DEFAULT_NAME) -> None:
    """Remove the cluster with everything of it, and what crashed ones left."""
    progress = Progress()
    if not remove(name, progress):
        progress.say(f"There is no cluster {name}")


@app.command()
def status(name: Name = DEFAULT_NAME) -> None:
    """Say whether the cluster runs and how its parts do; exit code 3 when it does not run."""
    progress = Progress()
    cleanup.sweep(progress)
    cluster = Cluster.find(name, progress)
    if cluster is None:
        print(f"{name}: not running")
        raise typer.Exit(NOT_RUNNING)
    print(f"{name}: running, provider {cluster.provider}, node {cluster.node_ip}, files {cluster.run_dir}")
    if (state := load(name)) is not None:
        for part, facts in process.service_facts(state).items():
            running = "running" if facts["pid"] is not None else f"ended with {facts['exit']}"
            print(f"  {part}: {running}, started {facts['starts']} times")
    print(cluster.kubectl("get", "nodes", "--output=wide"), end="")


@app.command("load-image")
def load_image(
    archives: Annotated[list[Path], typer.Argument(help="Archives as `docker save` writes them, or OCI ones.")],
    name: Name = DEFAULT_NAME,
) -> None:
    """Make images usable by the cluster's pods."""
    _running(name).load_image(*archives)


@app.command()
def kubeconfig(name: Name = DEFAULT_NAME) -> None:
    """Print the path of the kubeconfig."""
    print(_running(name).kubeconfig)


@app.command()
def path(name: Name = DEFAULT_NAME) -> None:
    """Print the folder with the cluster's files, its logs among them."""
    print(run_dir(name))


def main() -> None:
    """Run the command; an error that is meant for people is shown without a traceback."""
    try:
        app()
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


def _running(name: str) -> Cluster:
    cluster = Cluster.find(name, Progress())
    if cluster is None:
        raise ClusterError(f"cluster {name} does not run; run: botfleet-cluster up --name {name}")
    return cluster
