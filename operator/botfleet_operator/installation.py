"""
Why: an operator acts only with the installation's own key, on the installation's own database, and knows its cluster.
Never: make a new key, or accept another one: every bot's credentials are derived from it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from botfleet.keys import KEY_BYTES, fingerprint
from botfleet.store.bots import BotRepository
from botfleet.store.engine import Store
from botfleet_operator.kubeapi import NAMESPACES, ForbiddenError, KubeApi, KubeError

log = structlog.get_logger("botfleet.operator.installation")

_ASK_AGAIN_SECONDS = 0.5


class StartError(Exception):
    """The operator must not act; the message says what a person has to do."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What was found at the start. `cluster_uid` None: not the cluster of the database's bots, or not known;
    nothing is removed because it is absent."""

    id: str
    cluster_uid: str | None
    key: bytes = field(repr=False)


def decode_key(text: str) -> bytes:
    """The installation key from its text.

    Raises:
        StartError: it is no key.
    """
    try:
        raw = base64.urlsafe_b64decode(text.strip() + "=" * (-len(text.strip()) % 4))
    except (binascii.Error, ValueError):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise StartError(
            f"The installation key is not {KEY_BYTES} bytes in base64url. Restore the Secret of the installation key "
            "from the backup; do not make a new one: all bots' credentials and stored sessions depend on it."
        )
    return raw


def read_key(file: Path) -> bytes:
    """The installation key from its mounted file.

    Raises:
        StartError: it is not there or no key.
    """
    try:
        return decode_key(file.read_text(encoding="ascii"))
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(
            f"The installation key cannot be read ({file.name}: {type(error).__name__}). If bots exist already, restore "
            "its Secret from the backup; a fresh installation gets it from the bootstrap Job."
        ) from error


async def recognise(store: Store, api: KubeApi, key: bytes, *, deadline_seconds: float = 0.0) -> Installation:
    """Compares key and cluster with those that the database remembers; remembers them the first time.

    Raises:
        StartError: another key, or an API server that did not tell its cluster so long. StoreError: ask again later.
    """
    bots = BotRepository(store)
    row = await bots.installation()
    if row.key_fingerprint is None and await bots.list_all():
        raise StartError(
            "The database has bots but remembers no installation key. It was not written by an operator: look at it."
        )
    if not await bots.set_key_fingerprint(fingerprint(key)):
        raise StartError(
            "This is not the installation key that the database's bots were made with. Restore the right Secret from "
            "the backup. Nothing was changed."
        )
    uid = await _cluster_uid_in_time(api, deadline_seconds)
    same = uid is not None and await bots.set_cluster_uid(uid)
    if uid is not None and not same:
        log.error(
            "other_cluster",
            action="this database belongs to bots of another cluster; roles of absent bots are not removed",
        )
    return Installation(row.id, uid if same else None, key)


async def is_still_there(api: KubeApi, installation: Installation) -> bool:
    """Whether the API server is still that of the installation's cluster; its address may lead elsewhere by now. Where the
    cluster is not known nothing can be compared, and nothing tells against it.

    Raises:
        KubeError: it did not say.
    """
    return installation.cluster_uid is None or await _cluster_uid(api) == installation.cluster_uid


async def _cluster_uid_in_time(api: KubeApi, deadline_seconds: float) -> str | None:
    """One answer that did not come is no reason to begin the whole start again."""
    deadline, said = time.monotonic() + deadline_seconds, False
    while True:
        try:
            return await _cluster_uid(api)
        except KubeError as error:
            if time.monotonic() > deadline:
                raise StartError(f"The API server does not tell which cluster it is: {error}.") from error
            if not said:
                log.warning("waiting_for_the_cluster", error=str(error))
            said = True
        await asyncio.sleep(_ASK_AGAIN_SECONDS)


async def _cluster_uid(api: KubeApi) -> str | None:
    try:
        found = await api.get(NAMESPACES, None, "kube-system", metadata_only=True)
    except ForbiddenError:
        log.warning(
            "cluster_unknown",
            action="allow the operator to get the namespace kube-system; until then roles of bots "
            "whose deletion it did not see are not removed",
        )
        return None
    return str(found["metadata"]["uid"]) if found else None
