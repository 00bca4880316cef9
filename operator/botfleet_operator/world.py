"""
Why: the operator's picture of the cluster, and which bot has to be looked at again when something in it changes.
Never: talk to the API itself, or keep anything of an object that is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botfleet.spec import DEFAULTS_NAME, GROUP, KIND, PLURAL, VERSION
from botfleet_operator.defaults import TELEGRAM_BOT_DEFAULTS, DefaultsRecord, defaults_record
from botfleet_operator.informers import Informer
from botfleet_operator.kubeapi import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NETWORK_POLICIES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    KubeApi,
    Resource,
)
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
from botfleet_operator.names import CHILD_SELECTOR, CREDENTIALS_SELECTOR, PROMPT_SELECTOR, own_secret_name
from botfleet_operator.prompts import PromptRecord, prompt_record
from botfleet_operator.uses import Named, Uses, named_in

TELEGRAM_BOTS = Resource(GROUP, VERSION, PLURAL, KIND)
CHILD_RESOURCES: dict[str, Resource] = {
    r.kind: r for r in (SERVICE_ACCOUNTS, NETWORK_POLICIES, CONFIG_MAPS, SECRETS, DEPLOYMENTS)
}


def child_name(kind: str, bot: str) -> str:
    """All children have the bot's name, but for the Secret (the owner's own may well have it)."""
    return own_secret_name(bot) if kind == "Secret" else bot


class World:
    """Bots (fed by kopf's watch), their children, pods, the Secrets and prompts that bots may use, and the namespaces' defaults
    (fed by informers)."""

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
        self._named_by_cluster = frozenset(named_in(defaults))
        self.pods_moved: Callable[[], None] = _nothing
        self.bots: dict[BotKey, BotRecord] = {}
        self.gone: dict[str, BotKey] = {}  # UIDs that are certainly deleted and not cleaned up yet
        self._uses = Uses()
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
        self.prompts: Informer[PromptRecord] = Informer(
            api,
            CONFIG_MAPS,
            prompt_record,
            self._prompt_changed,
            namespaces=namespaces,
            selector=PROMPT_SELECTOR,
            metadata_only=False,
        )
        self.defaults: Informer[DefaultsRecord] = Informer(
            api,
            TELEGRAM_BOT_DEFAULTS,
            defaults_record,
            self._defaults_changed,
            namespaces=namespaces,
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
        return [*self.children.values(), self.secrets, self.prompts, self.defaults, self.pods]

    def silence(self) -> dict[str, float]:
        """By resource: for how many seconds the watch that has been silent longest has brought nothing."""
        longest: dict[str, float] = {}
        for informer in self.informers:
            plural = informer.resource.plural
            longest[plural] = max(informer.silent_seconds, longest.get(plural, 0.0))
        return longest

    # Bots

    def bot_seen(self, bot: BotRecord) -> None:
        """The watch shows this bot as it is now, or as it was: kopf keeps the order of events within one object, not within one
        name. What is older than what is known of the name, or of an object that is no more, is no news."""
        old = self.bots.get(bot.key)
        if bot.uid in self.gone or (old is not None and old.version >= bot.version):
            return
        self._take(bot)

    def bot_found(self, bot: BotRecord) -> None:
        """The comparison has found what no watch has shown; what is known of its name counts no longer, newer or not."""
        self.gone.pop(bot.uid, None)
        self._take(bot)

    def bot_deleted(self, key: BotKey, uid: str) -> None:
        """The watch, or two looks a while apart, say that this object is no more."""
        self.gone[uid] = key
        old = self.bots.get(key)
        if old is not None and old.uid == uid:
            self._uses.drop(key)
            del self.bots[key]
        self._enqueue(key)

    def _take(self, bot: BotRecord) -> None:
        old = self.bots.get(bot.key)
        if old is not None and old.uid != bot.uid:
            self.gone[old.uid] = old.key
        self.bots[bot.key] = bot
        self._uses.put(bot.key, self._named_by(bot))
        self._enqueue(bot.key)

    def defaults_of(self, namespace: str) -> DefaultsRecord | None:
        """The object whose defaults take part in this namespace."""
        return self.defaults.get(namespace, DEFAULTS_NAME)

    def names(self, kind: str, bot: BotRecord) -> frozenset[str]:
        """The Secrets, or ConfigMaps, that a bot's effective spec may name."""
        return frozenset(named.name for named in self._named_by(bot) if named.kind == kind)

    def _named_by(self, bot: BotRecord) -> frozenset[Named]:
        """What the bot's own spec names, and what defaults name for it: both mean objects of its own namespace."""
        nearer = self.defaults_of(bot.namespace)
        return self._named_by_cluster.union(named_in(bot.spec), named_in(nearer.layer) if nearer else ())

    # Who waits for an account

    def wait_for(self, account_key: str, key: BotKey) -> None:
        """Look at this bot again when the account becomes free."""
        self._waiting.setdefault(account_key, set()).add(key)

    def wait_no_longer(self, account_key: str, key: BotKey) -> None:
        """The bot has the account."""
        waiting = self._waiting.get(account_key, set())
        waiting.discard(key)
        if not waiting:
            self._waiting.pop(account_key, None)

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
        if record is None or (old is not None and new is not None and _secret_view(old) == _secret_view(new)):
            return
        for key in self._uses.by(record.namespace, Named("Secret", record.name)):
            self._enqueue(key)

    def _prompt_changed(self, old: PromptRecord | None, new: PromptRecord | None) -> None:
        record = new or old
        if record is None or (
            old is not None and new is not None and (old.texts, old.mistakes) == (new.texts, new.mistakes)
        ):
            return
        for key in self._uses.by(record.namespace, Named("ConfigMap", record.name)):
            self._enqueue(key)

    def _defaults_changed(self, old: DefaultsRecord | None, new: DefaultsRecord | None) -> None:
        record = new or old
        if record is None or record.name != DEFAULTS_NAME:
            return
        if old is not None and new is not None and (old.uid, old.generation) == (new.uid, new.generation):
            return  # a label, say
        for bot in list(self.bots.values()):
            if bot.namespace == record.namespace:
                self._uses.put(bot.key, self._named_by(bot))
                self._enqueue(bot.key)

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


def _secret_view(secret: SecretRecord) -> tuple[object, ...]:
    return (secret.keys, secret.ours, secret.tellable)


def _pod_view(pod: PodRecord) -> tuple[object, ...]:
    return (pod.uid, pod.deleting, pod.running, pod.ended, pod.trouble, pod.restarting)


def _projection(kind: str) -> Callable[[dict[str, Any]], ChildRecord]:
    return lambda body: child_record(kind, body)
