"""A fleet gets another image from the chart: in waves, stopped by a bad one, against a real API server; no pod runs."""

from __future__ import annotations

import json
import secrets
from typing import Any

import pytest
import yaml

from botfleet.health import Health
from tests.integration.operator.harness import Installation, Place, bot_of, credentials, eventually

BOTS, WAVE = 12, 4
pytestmark = pytest.mark.timeout(420)  # a quiet machine needs a tenth of it; this runs aside
IMAGE = "registry.example/botfleet/runner:"


class Fleet:
    """Bots whose pods and runners are played: all of them in few calls, since each call of kubectl takes its time."""

    def __init__(self, installation: Installation) -> None:
        self.installation, self.place = installation, installation.place
        self.names = [f"bot-{number:02}" for number in range(BOTS)]
        self.playing: dict[str, str] = {}  # the template for which a runner is played

    def make(self) -> None:
        secrets_of_bots = [credentials(name, 1000 + n)[2] for n, name in enumerate(self.names)]
        self.place.apply(*credentials()[:2], *secrets_of_bots, *(bot_of(name) for name in self.names))
        eventually(lambda: len(self.deployments()) == BOTS, deadline=60)

    def listed(self, kind: str) -> dict[str, dict[str, Any]]:
        items = json.loads(self.place.kubectl("get", kind, "-o", "json"))["items"]
        return {item["metadata"]["name"]: item for item in items}

    def deployments(self) -> dict[str, dict[str, Any]]:
        return self.listed("deployments")

    def reasons(self) -> list[str]:
        """Of UpToDate, in the order of the bots' names."""
        return [reason_of(bot) for _, bot in sorted(self.listed("telegrambots").items())]

    def play(self, broken: tuple[str, ...] = ()) -> None:
        """Each Deployment with another template gets its pod, and a runner that is connected, but for the broken."""
        new = {n: d for n, d in self.deployments().items() if self.playing.get(n) != template_of(d)}
        pods = {name: f"{name}-{secrets.token_hex(4)}" for name in new}
        if not new:
            return
        self.place.kubectl(
            "delete", "pods", "--grace-period=0", "--force", *(f"-lbotfleet.dev/bot in ({','.join(new)})",)
        )
        self.place.apply(*(pod_of(pods[name], deployment) for name, deployment in new.items()))
        uids = {name: pod["metadata"]["uid"] for name, pod in self.listed("pods").items()}
        for name, deployment in new.items():
            self.playing[name] = template_of(deployment)
            self.says(deployment, uids[pods[name]], connected=name not in broken)

    def says(self, deployment: dict[str, Any], holder: str, *, connected: bool) -> None:
        template = deployment["spec"]["template"]
        words = Health(
            spec_digest=template["metadata"]["annotations"]["botfleet.dev/spec-digest"],
            connected=connected,
            authorized=True,
        )
        environment = {e["name"]: e.get("value", "") for e in template["spec"]["containers"][0]["env"]}
        statement = """update botfleet.leases set holder = %s, token = 1, renewed_at = now(),
            expires_at = now() + interval '1 hour', health = %s, health_changed_at = now() where bot_id = %s returning 1"""
        bot_id = environment["BOTFLEET_BUS_PREFIX"].split(":")[2]
        self.installation.database.query(statement, holder, words.model_dump_json(exclude_defaults=True), bot_id)

    def images(self) -> list[str]:
        return [image_of(deployment) for _, deployment in sorted(self.deployments().items())]


def same(found: list[str], wanted: list[str]) -> bool:
    assert found == wanted
    return True


def reason_of(bot: dict[str, Any]) -> str:
    conditions = bot.get("status", {}).get("conditions", [])
    return next((str(c["reason"]) for c in conditions if c["type"] == "UpToDate"), "")


def image_of(deployment: dict[str, Any]) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"]).removeprefix(IMAGE)


def template_of(deployment: dict[str, Any]) -> str:
    return yaml.safe_dump(deployment["spec"]["template"])


def pod_of(name: str, deployment: dict[str, Any]) -> dict[str, Any]:
    template = deployment["spec"]["template"]
    return {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": name}}


def led(installation: Installation, image: str, timeout: str = "300") -> Any:
    """It releases its Lease when it is stopped, so that the next one leads at once."""
    return installation.operator(
        BOTFLEET_RUNNER_IMAGE=f"{IMAGE}{image}", BOTFLEET_ROLLOUT_WAVE_SIZE=str(WAVE), BOTFLEET_ROLLOUT_PAUSE_SECONDS="0",
        BOTFLEET_ROLLOUT_TIMEOUT_SECONDS=timeout, BOTFLEET_HEALTH_POLL_SECONDS="0.1",
        BOTFLEET_HEARTBEAT_SECONDS="3600",  # a runner is played by what it says once
        BOTFLEET_LEADER_LEASE_SECONDS="60",  # a renewal that a slow machine delays is no warning in the log
    ).wait_leading()  # fmt: skip


def test_a_bad_image_stops_at_its_first_wave_and_a_fixed_one_reaches_the_whole_fleet(
    installation: Installation,
) -> None:
    fleet = Fleet(installation)
    first = led(installation, "1")
    fleet.make()
    fleet.play()
    eventually(lambda: first.metrics()['botfleet_operator_bots{phase="Running"}'] == BOTS, deadline=60)
    first.stop()

    bad = led(installation, "2", timeout="8")
    eventually(lambda: bad.metrics()["botfleet_operator_rollout_in_progress"] == WAVE)
    assert fleet.images() == ["2"] * WAVE + ["1"] * (BOTS - WAVE)
    held_bots_are_repaired_and_their_owners_are_not_held_up(fleet.place, fleet.names)
    fleet.play(broken=("bot-00",))
    eventually(lambda: bad.metrics()["botfleet_operator_rollout_halted"] == 1)
    eventually(lambda: same(fleet.reasons()[:WAVE], ["RolloutFailed"] + ["UpToDate"] * (WAVE - 1)))
    assert fleet.images() == ["2"] * WAVE + ["1"] * (BOTS - WAVE - 1) + ["2"]
    bad.stop()

    fixed = led(installation, "3")
    eventually(lambda: fleet.images().count("3") == 1)
    assert fleet.images()[0] == "3"
    assert fleet.images().count("1") == BOTS - WAVE - 1

    def all_reached() -> bool:
        fleet.play()
        assert fixed.metrics()["botfleet_operator_rollout_in_progress"] <= WAVE
        return fleet.images() == ["3"] * BOTS and fleet.reasons() == ["UpToDate"] * BOTS

    eventually(all_reached, deadline=200)
    waves = [line for line in fixed.lines() if line["event"] == "rollout_wave"]
    assert all(line["bots"] <= WAVE for line in waves)
    assert [line for line in fixed.lines() if line["level"] in ("warning", "error")] == []


def held_bots_are_repaired_and_their_owners_are_not_held_up(place: Place, names: list[str]) -> None:
    edited, changed = names[-2], names[-1]
    place.kubectl("set", "image", f"deployment/{edited}", "runner=evil")
    eventually(lambda: image_of(place.get("deployment", edited)) == "1", what="restored to what it was")
    place.kubectl("patch", "tgbot", changed, "--type=merge", '-p={"spec":{"persona":{"prompt":"Another."}}}')
    eventually(
        lambda: image_of(place.get("deployment", changed)) == "2", what="the owner's change brings the new image"
    )
