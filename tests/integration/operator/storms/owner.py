"""
Why: the owner's hands in a storm, straight at the API server, and a stand-in for Kubernetes' garbage collector.
Never: know the operator, or judge it.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

from botfleet_operator.names import CHILD_SELECTOR
from tests.integration.operator.cluster import APPLY_PATCH, BOTS, CHILDREN, MERGE_PATCH, Cluster, path
from tests.integration.operator.harness import bot_of, secret_of
from tests.integration.operator.storms.erasures import Erasures
from tests.integration.operator.storms.plan import DELETING, KINDS, MAKING, Act, Event, Wanted

_COLLECT_SECONDS = 1.0
_LOOK_SECONDS = 0.2
_DELETED_SECONDS = 120.0  # the most that a deletion may take while everything is at fault
_MERGE, _STRATEGIC = MERGE_PATCH, "application/strategic-merge-patch+json"

# What somebody does to a child: (content type, patch). None of it may stay, but for the last of a Deployment.
# To any: nothing collects it any more when its bot goes, and no watch shows it any more.
_ANY: list[tuple[str, dict[str, Any]]] = [
    (_MERGE, {"metadata": {"ownerReferences": None}}),
    (_MERGE, {"metadata": {"labels": {"botfleet.dev/bot": None}}}),
]
EDITS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ServiceAccount": [
        *_ANY,
        (_MERGE, {"automountServiceAccountToken": True}),
    ],
    "NetworkPolicy": [
        *_ANY,
        (_MERGE, {"spec": {"egress": [{}]}}),
        (_MERGE, {"spec": {"policyTypes": ["Ingress"]}}),
    ],
    "ConfigMap": [
        *_ANY,
        (_MERGE, {"data": {"bot.yaml": "edited: true"}}),
        (_MERGE, {"data": None}),
    ],
    "Secret": [
        *_ANY,
        (_MERGE, {"data": {"database-password": "ZWRpdGVk"}}),
        (_MERGE, {"metadata": {"annotations": None}}),
    ],
    "Deployment": [
        *_ANY,
        (_MERGE, {"spec": {"replicas": 3}}),
        (_STRATEGIC, {"spec": {"template": {"spec": {"containers": [{"name": "runner", "image": "evil.example/x"}]}}}}),
        (_STRATEGIC, {"spec": {"template": {"spec": {"containers": [{"name": "evil", "image": "evil.example/x"}]}}}}),
        (_STRATEGIC, {"spec": {"template": {"spec": {"containers": [
            {"name": "runner", "env": [{"name": "EVIL", "value": "1"}]}]}}}}),
        (_MERGE, {"spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}}}}),
    ],
}  # fmt: skip


def child_name(kind: str, bot: str) -> str:
    """As the documentation names it."""
    return f"{bot}-botfleet" if kind == "Secret" else bot


class Owner(Cluster):
    """What owners do, and what somebody else does to what is not theirs."""

    async def children(self, namespace: str) -> list[dict[str, Any]]:
        """Everything that says to be the operator's, each with its kind."""
        selector = CHILD_SELECTOR.replace(",", "%2C").replace("=", "%3D")
        found = await asyncio.gather(*(self.listed(where, namespace, selector) for where in CHILDREN.values()))
        return [{**item, "kind": kind} for kind, items in zip(CHILDREN, found, strict=True) for item in items]

    # Acts

    async def common(self, namespace: str) -> None:
        """The Secrets that all bots share."""
        await self._secret(namespace, "telegram-app", api_id="12345", api_hash="0123456789abcdef0123456789abcdef")
        await self._secret(namespace, "openai", api_key="sk-planted-model-key")

    async def do(self, event: Event, erasures: Erasures) -> None:
        """Carries it out, whatever the operator does meanwhile."""
        bot, act = event.bot, event.act
        if act in DELETING:
            await self._delete(bot, erasures)
        if act in MAKING:
            await self._token(bot)
            await self._make(bot)
        elif act is Act.NEW_TOKEN:
            await self._token(bot)
        elif act is Act.LOSE_SECRET:
            await self.send("DELETE", path(CHILDREN["Secret"], bot.namespace, bot.name))
        elif act is Act.PROMPT:
            await self._patch_bot(bot, {"spec": {"persona": {"prompt": bot.text}}})
        elif act is Act.SUSPEND:
            await self._patch_bot(bot, {"spec": {"suspend": bot.suspended}})
        elif act is Act.POLICY:
            await self._patch_bot(bot, {"spec": {"deletionPolicy": policy(bot)}})
        elif act is Act.LABEL:
            await self._patch_bot(bot, {"metadata": {"labels": {"touched": str(bot.labels)}}})
        elif act in (Act.TAKE_CHILD, Act.EDIT_CHILD):
            await self._harm(event)

    async def _delete(self, bot: Wanted, erasures: Erasures) -> None:
        where = path(BOTS, bot.namespace, bot.name)
        had = await erasures.before(await self.send("GET", where))
        await erasures.after(await self.send("DELETE", where), had)

    async def _make(self, bot: Wanted) -> None:
        """Once nothing of that name is being deleted any more, as who waits for `kubectl delete`."""
        async with asyncio.timeout(_DELETED_SECONDS):
            while True:
                made = await self.send("POST", path(BOTS, bot.namespace), manifest(bot), also=(409,))
                if made["kind"] == "TelegramBot":
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    async def _harm(self, event: Event) -> None:
        chance = random.Random(event.number)  # noqa: S311 -- chooses, no secret
        kind = chance.choice(KINDS)
        where = path(CHILDREN[kind], event.bot.namespace, child_name(kind, event.bot.name))
        if event.act is Act.TAKE_CHILD:
            await self.send("DELETE", where, also=(404,))
            return
        content_type, patch = chance.choice(EDITS[kind])
        # 422: two such edits in a row (a variable that is there twice, say) are refused by the API server itself.
        await self.send("PATCH", f"{where}?fieldManager=somebody", patch, kind=content_type, also=(404, 422))

    async def _patch_bot(self, bot: Wanted, patch: dict[str, Any]) -> None:
        await self.send("PATCH", path(BOTS, bot.namespace, bot.name), patch, kind=_MERGE)

    async def _token(self, bot: Wanted) -> None:
        await self._secret(bot.namespace, bot.name, token=bot.credential)

    async def _secret(self, namespace: str, name: str, **values: str) -> None:
        where = f"{path(CHILDREN['Secret'], namespace, name)}?fieldManager=owner&force=true"
        await self.send("PATCH", where, secret_of(name, label=True, **values), kind=APPLY_PATCH)

    # What a cluster's controller manager would do

    async def collect_garbage(self, namespaces: tuple[str, ...]) -> None:
        """Until cancelled: children whose owner is gone are deleted, as Kubernetes does it. (No controller runs here.)"""
        while True:
            await asyncio.sleep(_COLLECT_SECONDS)
            for namespace in namespaces:
                children = await self.children(namespace)
                living = {bot["metadata"]["uid"] for bot in await self.listed(BOTS, namespace)}
                for child in children:
                    metadata = child["metadata"]
                    owners = {owner["uid"] for owner in metadata.get("ownerReferences", ())}
                    if owners and not owners & living:
                        await self.send(
                            "DELETE",
                            path(CHILDREN[child["kind"]], namespace, metadata["name"]),
                            {"preconditions": {"uid": metadata["uid"]}},
                            also=(404, 409),
                        )


def manifest(bot: Wanted) -> dict[str, Any]:
    """As its owner applies it."""
    return bot_of(bot.name, persona={"prompt": bot.text}, deletionPolicy=policy(bot))


def policy(bot: Wanted) -> str:
    """What is to happen to its data when it is deleted."""
    return "Erase" if bot.erase else "Retain"
