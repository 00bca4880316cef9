"""A bot's life, from its making to its next object: wherever the operator is killed, the end is the same."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from botfleet.health import Health
from botfleet.store.bots import BotRepository
from botfleet.store.engine import create_store
from botfleet.store.health_feed import HealthRow
from botfleet.store.schema import create_all_sqlite
from botfleet.store.tables import bindings, bots
from botfleet_operator.names import ANNOTATION_CREDENTIALS, ANNOTATION_SPEC, ANNOTATION_TEMPLATE
from tests.integration.fleet.killing import KilledError, Killing
from tests.unit.operator import samples
from tests.unit.operator.rig import KEY_OF, Rig

KINDS = ("ServiceAccount", "NetworkPolicy", "ConfigMap", "Secret", "Deployment")
OTHER_TOKEN = "5:AAplanted-another"


class Life:
    """One bot. What its owner and its runner do is done once; the operator works after each act until it is at rest."""

    def __init__(self, rig: Rig) -> None:
        self.rig, self._runs, self._token = rig, False, ""
        self.kills = 0
        self.pictures: list[dict[str, Any]] = []  # after each act

    async def all(self) -> None:
        acts: list[Callable[[], Awaitable[None]]] = [
            self.made, self.runs, self.another_account, self.runs, self.rotated, self.runs, self.made_anew, self.runs,
            self.deleted,
        ]  # fmt: skip
        for act in acts:
            await act()
            try:
                await self._rest()
            except KilledError:
                self.kills += 1
                await self._again()
            self.pictures.append(await picture(self.rig))

    # What happens

    async def made(self) -> None:
        self.rig.show()

    async def runs(self) -> None:
        """The pod of the Deployment as it is now, whose runner says that Telegram has taken the credential."""
        self._runs = True
        self._play()

    async def another_account(self) -> None:
        self._runs, self._token = False, OTHER_TOKEN
        self._store_token()

    async def rotated(self) -> None:
        self._runs = False
        self.rig.change(annotations={"botfleet.dev/rotate-credentials": "now"})

    async def made_anew(self) -> None:
        """Deleted and applied again at once, with the same Secret."""
        self._collected()
        self.rig.hide()
        self.rig.show(uid="uid-2")
        self._store_token()

    async def deleted(self) -> None:
        self._collected()
        self.rig.hide(uid="uid-2")

    def _collected(self) -> None:
        """Pods and children have gone with their owner."""
        self._runs = False
        self._end_pods()
        for kind in KINDS:
            name = "concierge-botfleet" if kind == "Secret" else "concierge"
            self.rig.api.objects.pop((kind, "hotel", name), None)
            self.rig.world.children[kind]._drop(("hotel", name), self.rig.api.version + 1)

    # The operator

    async def _rest(self) -> None:
        for _ in range(6):
            await self.rig.reconcile()
            if KEY_OF in self.rig.world.bots:
                self.rig.change()

    async def _again(self) -> None:
        """The next process, which knows what the watches show."""
        before = self.rig
        self.rig = await before.restarted()
        for record in before.world.secrets:
            self.rig.world.secrets._store(record)
        if self._runs and KEY_OF in self.rig.world.bots:
            self._play()
        for _ in range(2):
            await self.rig.look()
        await self._rest()

    def _store_token(self) -> None:
        if self._token:
            self.rig.api.version += 1
            secret = samples.secret("concierge", token=self._token)
            self.rig.world.secrets._store(replace(secret, version=self.rig.api.version + 1000))

    def _play(self) -> None:
        self._end_pods()
        deployment = self.rig.api.objects.get(("Deployment", "hotel", "concierge"))
        identity = self.rig.ledger.identity_at(KEY_OF)
        if deployment is None or identity is None:
            return
        marks, uid = deployment["spec"]["template"]["metadata"]["annotations"], f"pod-{secrets.token_hex(4)}"
        pod = replace(samples.pod(uid), credentials=marks[ANNOTATION_CREDENTIALS], template=marks[ANNOTATION_TEMPLATE])
        self.rig.world.pods._store(pod)
        now = datetime.now(UTC)
        health = Health(spec_digest=marks[ANNOTATION_SPEC], connected=True, authorized=True)
        self.rig.ledger.heard([HealthRow(identity.bot_id, uid, now + timedelta(seconds=60), now, 0.0, health, now)])

    def _end_pods(self) -> None:
        for pod in self.rig.world.pods_of(KEY_OF):
            self.rig.world.pods._drop(("hotel", pod.name), pod.version)


async def picture(rig: Rig) -> dict[str, Any]:
    """All that an operator leaves, but for what is drawn at random or by the clock."""
    async with rig.store.read() as connection:
        rows = (await connection.execute(sa.select(bots.c.id, bots.c.uid, bots.c.credentials_generation,
                                                   bots.c.credential_digest, bots.c.deleted_at))).all()  # fmt: skip
        bound = (await connection.execute(sa.select(bindings.c.account_key, bindings.c.proved))).all()
    ids = {str(row.id) for row in rows}
    children = {kind: body for (kind, _, _), body in rig.api.objects.items() if kind in KINDS}
    return {
        "rows": [(row.uid, row.credentials_generation, row.credential_digest, row.deleted_at is None) for row in rows],
        "bound": sorted(tuple(one) for one in bound),
        "roles": sorted(rig.roles.roles.values()),
        "users": len(rig.users.users),
        "children": sorted(children),
        "of this bot": all(
            next(iter(ids)) in json.dumps(children[kind]) for kind in ("Deployment",) if kind in children
        ),
    }


@pytest.mark.timeout(600)  # minutes on a machine with other work to do
async def test_killed_between_any_two_calls_of_a_bots_life_it_ends_in_the_same_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills, expected = 0, None
    for last in range(500):  # the first is killed never
        store = create_store(f"sqlite:///{tmp_path / f'{last}.db'}")
        try:
            await create_all_sqlite(store)
            life = Life(Rig(store, (await BotRepository(store).installation()).id))
            with monkeypatch.context() as patch:
                Killing(life.rig, last).arm(patch)
                await life.all()
        finally:
            await store.close()
        if expected is None:
            expected = life.pictures
        assert life.pictures == expected, f"killed before call {last}"
        if last and not life.kills:
            break
        kills += life.kills
    assert expected is not None
    print(kills, *expected, sep="\n")
    assert kills > 30
