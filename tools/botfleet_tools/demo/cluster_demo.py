"""Why: the main job, shown: a cluster, the platform by Helm, three bots applied, a conversation held. Idempotent."""

import asyncio
import os
import time
from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax

from botfleet_tools.cluster import Cluster
from botfleet_tools.cluster.kind import docker_runs
from botfleet_tools.demo.conversation import chat, hold, person_in
from botfleet_tools.errors import ToolError
from botfleet_tools.platform import simulated
from botfleet_tools.platform.diagnosis import explained
from botfleet_tools.platform.install import ROOT, Release, install, load_images
from botfleet_tools.prerequisites import check
from botfleet_tools.progress import Progress

NAME = os.environ.get("BOTFLEET_DEMO_CLUSTER", "botfleet-demo")  # tests have one of their own
EXAMPLES = ("concierge", "spa", "support")
SCRIPT = {
    "concierge": ["Hello! Who are you?", "At which hours is breakfast?", "And for rooms 12, 14 and 31?"],
    "spa": ["Good evening. What does the sauna cost for 2 people?"],
    "support": ["My order 4711 has not come yet.", "Are you a robot?"],
}


def up(console: Console, progress: Progress) -> None:
    """`make demo`."""
    started = time.monotonic()
    check({"python", "linux"} if docker_runs() else {"root", "python", "go", "linux"})
    cluster = Cluster.ensure(name=NAME, progress=progress)
    images = load_images(cluster, progress)
    simulation = simulated.ensure(cluster, images.reference("simulator"), progress)
    install(Release(cluster), images, progress, {"bots": {"defaults": simulated.BOT_DEFAULTS}})
    _apply_bots(cluster, simulation, progress)
    for name in EXAMPLES:
        _show_manifest(console, ROOT / f"examples/{name}.yaml")
    console.print("[bold]$ kubectl get telegrambots -A[/]")
    console.print(cluster.kubectl("get", "telegrambots", "-A"), markup=False)
    with explained(cluster):
        asyncio.run(_talk(cluster, simulation, console))
    console.print("\n[bold]$ kubectl get telegrambots -A[/]")
    console.print(cluster.kubectl("get", "telegrambots", "-A"), markup=False)
    _how_to_go_on(console, cluster, time.monotonic() - started)


def down(progress: Progress) -> None:
    """`make demo-down`."""
    check({"linux"} if docker_runs() else {"root", "linux"})
    cluster = Cluster.find(NAME, progress)
    if cluster is not None:
        cluster.down()


def talk_with(bot: str, console: Console) -> None:
    """`make chat BOT=namespace/name`."""
    cluster = Cluster.find(NAME)
    if cluster is None:
        raise ToolError("the demo does not run; start it: make demo")
    simulation = simulated.stored(cluster)
    try:
        account = simulation.bot(bot)
    except LookupError as error:
        raise ToolError(f"{error}. Say which: make chat BOT=hotel/concierge") from error
    you = simulation.people[-1]

    async def run() -> None:
        async with person_in(cluster, simulation, you) as person:
            await chat(person, account.username, console)

    asyncio.run(run())


def _apply_bots(cluster: Cluster, simulation: simulated.Simulation, progress: Progress) -> None:
    with progress.step("Applying three TelegramBots") as step, explained(cluster):
        simulated.apply(cluster, *simulated.owner_secrets(simulation))
        for name in EXAMPLES:
            cluster.kubectl("apply", "-f", str(ROOT / f"examples/{name}.yaml"))
        step.update("waiting until they are Ready")
        cluster.kubectl(
            "wait", "--for=condition=Ready", "telegrambots", "--all", "-A", "--timeout=120s", deadline_seconds=130
        )


async def _talk(cluster: Cluster, simulation: simulated.Simulation, console: Console) -> None:
    console.print("\n[bold]A conversation[/] (the model is simulated: it repeats what it was asked, in its role)\n")
    for who, (bot, lines) in zip(simulation.people, SCRIPT.items(), strict=False):
        async with person_in(cluster, simulation, who) as person:
            await hold(person, who.name, simulation.bot(bot).username, lines, console)


def _show_manifest(console: Console, path: Path) -> None:
    console.print(f"\n[bold]Applied: {path.relative_to(ROOT)}[/]\n")
    if console.is_terminal:
        console.print(Syntax(path.read_text(), "yaml", background_color="default", word_wrap=True))
    else:
        console.print(path.read_text(), markup=False)


def _how_to_go_on(console: Console, cluster: Cluster, seconds: float) -> None:
    # The files of a cluster are root's; what sudo started must be used as root too.
    as_root = (
        ["sudo -s                           # a shell of root, for all that follows"]
        if "SUDO_USER" in os.environ
        else []
    )
    lines = [
        *as_root,
        *cluster.exports(),
        "kubectl get telegrambots -A",
        "kubectl -n hotel describe telegrambot concierge",
        "kubectl -n hotel rollout restart deployment/concierge",
        "make chat BOT=hotel/concierge     # a chat of your own",
        "make demo-down                    # removes everything",
    ]
    console.print(f"\n[green]Three bots answer.[/] The demo took {seconds:.0f} s. How to go on:\n")
    for line in lines:
        console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
    console.print()
