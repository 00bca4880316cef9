"""
Why: the operator's picture of the cluster, and which bot has to be looked at again when something in it changes.
Never: talk to the API itself, or keep anything of an object that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from botfleet_operator.informers import Informer
from botfleet_operator.kubeapi import CONFIG_MAPS, DEPLOYMENTS, PODS, SECRETS, SERVICE_ACCOUNTS, KubeApi, Resource
from botfleet_operator.model import (
    BotKey,
    BotRecord,
    ChildRecord,
    PodRecord,
    SecretRecord,
    child_record,
    pod_record,
    secret_record,
)
from botfleet_operator.names import CHILD_SELECTOR, CREDENTIALS_SELECTOR, own_secret_name

CHILD_RESOURCES: dict[str, Resource] = {r.kind: r for r in (SERVICE_ACCOUNTS, CONFIG_MAPS, SECRETS, DEPLOYMENTS)}


def child_name(kind: str, bot: str) -> str:
    """All children have the bot's name, but for the Secret (the owner's own may well have it)."""
    return own_secret_name(bot) if kind == "Secret" else bot


def referenced_secrets(spec: Any) -> Iterator[str]:
    """Names of all Secrets in a spec, valid or not."""
    if isinstance(spec, Mapping):
        for field, value in spec.items():
            if field.endswith("SecretRef") and isinstance(value, Mapping) and isinstance(value.get("name"), str):
                yield value["name"]
            else:
                yield from referenced_secrets(value)
    elif isinstance(spec, list | tuple):
        for entry in spec:
            yield from referenced_secrets(entry)


class World:
    """Bots (fed by kopf's watch), their children, pods, and the Secrets that bots may use (fed by informers)."""

    def __init__(
        self,
        api: KubeApi,
        *,
        namespaces: tuple[str, ...],
        installation_key: bytes,
        enqueue: Callable[[BotKey], None],
        defaults: Mapping[str, Any],
    ) -> None:
        """`defaults`: what specs leave out; Secrets that it names are looked for in each bot's own namespace."""
        self._enqueue = enqueue
        self._secrets_of_defaults = frozenset(referenced_secrets(defaults))
        self.pods_moved: Callable[[], None] = _nothing
        self.bots: dict[BotKey, BotRecord] = {}
        self.gone: dict[str, BotKey] = {}  # UIDs that are certainly deleted and not cleaned up yet
        self._used_by: dict[tuple[str, str], set[BotKey]] = {}
        self._waiting: dict[str, set[BotKey]] = {}
        self._pods_of: dict[BotKey, dict[str, PodRecord]] = {}
        self.children: dict[str, Informer[ChildRecord]] = {
            kind: Informer(
                api,
                resource,
                _projection(kind),
                self._child_changed,
                namespaces=namespaces,
                selector=CHILD_SELECTOR,
                metadata_only=kind != "Deployment",
            )
            for kind, resource in CHILD_RESOURCES.items()
        }
        self.secrets: Informer[SecretRecord] = Informer(
            api,
            SECRETS,
            lambda body: secret_record(body, installation_key),
            self._secret_changed,
            namespaces=namespaces,
            selector=CREDENTIALS_SELECTOR,
            metadata_only=False,
        )
        self.pods: Informer[PodRecord] = Informer(
            api,
            PODS,
            pod_record,
            self._pod_changed,
            namespaces=namespaces,
            selector=CHILD_SELECTOR,
            metadata_only=False,
        )

    @property
    def informers(self) -> list[Informer[Any]]:
        return [*self.children.values(), self.secrets, self.pods]

    # Bots

    def bot_seen(self, bot: BotRecord) -> None:
        """The watch shows this bot as it is now."""
        old = self.bots.get(bot.key)
        if old is not None and old.uid == bot.uid and old.version >= bot.version:
            return
        if old is not None:
            self._unindex(old)
            if old.uid != bot.uid:
                self.gone[old.uid] = old.key
        self.bots[bot.key] = bot
        for name in self.secret_names(bot):
            self._used_by.setdefault((bot.namespace, name), set()).add(bot.key)
        self._enqueue(bot.key)

    def bot_deleted(self, key: BotKey, uid: str) -> None:
        """The watch, or two looks a while apart, say that this object is no more."""
        self.gone[uid] = key
        old = self.bots.get(key)
        if old is not None and old.uid == uid:
            self._unindex(old)
            del self.bots[key]
        self._enqueue(key)

    def _unindex(self, bot: BotRecord) -> None:
        for name in self.secret_names(bot):
            users = self._used_by.get((bot.namespace, name))
            if users is not None:
                users.discard(bot.key)
                if not users:
                    del self._used_by[(bot.namespace, name)]

    def secret_names(self, bot: BotRecord) -> frozenset[str]:
        """The Secrets that a bot's effective spec may name."""
        return self._secrets_of_defaults.union(referenced_secrets(bot.spec))

    # Who waits for an account

    def wait_for(self, account_key: str, key: BotKey) -> None:
        """Look at this bot again when the account becomes free."""
        self._waiting.setdefault(account_key, set()).add(key)

    def freed(self, account_key: str) -> None:
        """The account is bound to nobody now."""
        for key in self._waiting.pop(account_key, ()):
            self._enqueue(key)

    # Pods

    def pods_of(self, key: BotKey) -> tuple[PodRecord, ...]:
        return tuple(self._pods_of.get(key, {}).values())

    # Changes

    def _child_changed(self, old: ChildRecord | None, new: ChildRecord | None) -> None:
        for record in (old, new):
            if record is None:
                continue
            if record.bot is not None:
                self._enqueue_known(BotKey(record.namespace, record.bot))
            name = record.name.removesuffix("-botfleet") if record.kind == "Secret" else record.name
            if name != record.bot:
                self._enqueue_known(BotKey(record.namespace, name))

    def _secret_changed(self, old: SecretRecord | None, new: SecretRecord | None) -> None:
        record = new or old
        if record is None or (old is not None and new is not None and (old.keys, old.ours) == (new.keys, new.ours)):
            return
        for key in self._used_by.get((record.namespace, record.name), ()):
            self._enqueue(key)

    def _pod_changed(self, old: PodRecord | None, new: PodRecord | None) -> None:
        record = new or old
        if record is None:
            return
        if old is not None and new is not None and old.bot != new.bot:
            self._pod_changed(old, None)  # its label was changed: it belongs to another bot now, or to none
            old = None
        key = BotKey(record.namespace, record.bot)
        pods = self._pods_of.setdefault(key, {})
        if new is None:
            pods.pop(record.name, None)
            if not pods:
                del self._pods_of[key]
        else:
            pods[record.name] = new
        if old is None or new is None or _pod_view(old) != _pod_view(new):
            self.pods_moved()
            self._enqueue_known(key)

    def _enqueue_known(self, key: BotKey) -> None:
        if key in self.bots:
            self._enqueue(key)


def _nothing() -> None:
    """Before anybody listens."""


def _pod_view(pod: PodRecord) -> tuple[object, ...]:
    return (pod.uid, pod.deleting, pod.running, pod.ended, pod.trouble)


def _projection(kind: str) -> Callable[[dict[str, Any]], ChildRecord]:
    return lambda body: child_record(kind, body)
