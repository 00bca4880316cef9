"""
Why: the only module that changes anything: the cluster, the database's roles, the Redis users.
Never: decide. Each kind of step has one executor here; trouble is told as a typed failure.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog

from botfleet.conditions import Reason
from botfleet.store.errors import StoreError
from botfleet_operator.eraser import Eraser
from botfleet_operator.kubeapi import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    JSON_PATCH,
    MERGE_PATCH,
    SECRETS,
    ConflictError,
    InvalidError,
    KubeApi,
    KubeError,
    NotFoundError,
    NotLeadingError,
    Resource,
    same,
)
from botfleet_operator.ledger import InUse, Ledger, StillHeldError
from botfleet_operator.model import BotRecord, ChildRecord, child_record
from botfleet_operator.names import FINALIZER_ERASE, LABEL_CREDENTIALS, LABEL_PROMPT
from botfleet_operator.observe import Scratch
from botfleet_operator.plan import (
    REPLICAS,
    Absence,
    Apply,
    Bind,
    Delete,
    EnsureIdentity,
    EnsureRole,
    EnsureUser,
    EraseData,
    Failure,
    LookUpChildren,
    LookUpPrompts,
    LookUpSecrets,
    Patch,
    Prove,
    Rotate,
    SetFinalizer,
    Step,
)
from botfleet_operator.podtemplate import with_template
from botfleet_operator.provision.bus import BusUnavailableError
from botfleet_operator.world import CHILD_RESOURCES, TELEGRAM_BOTS, World, child_name

log = structlog.get_logger("botfleet.operator.apply")

_NEWS_SECONDS = 1.0  # what a GET shows already the watch tells by then


class _TakenError(Exception):
    """Something else has the name; it is in the scratch, and what to do about it is a decision."""


Executor = Callable[[BotRecord, Any, Scratch], Awaitable[None]]


class Applier:
    """Carries out steps, one after the other; stops at the first that fails, but Redis holds nothing else up."""

    def __init__(self, api: KubeApi, world: World, ledger: Ledger, eraser: Eraser, guard: Callable[[], None]) -> None:
        self._api, self._world, self._ledger, self._eraser, self._guard = api, world, ledger, eraser, guard
        self._executors: dict[type[Step], Executor] = {
            LookUpSecrets: self._look_up_secrets,
            LookUpPrompts: self._look_up_prompts,
            LookUpChildren: self._look_up_children,
            SetFinalizer: self._set_finalizer,
            EraseData: self._erase_data,
            EnsureIdentity: self._ensure_identity,
            Rotate: self._rotate,
            Bind: self._bind,
            Prove: self._prove,
            EnsureRole: self._ensure_role,
            EnsureUser: self._ensure_user,
            Apply: self._apply,
            Delete: self._delete,
            Patch: self._patch,
        }

    async def run(self, bot: BotRecord, steps: tuple[Step, ...], scratch: Scratch) -> None:
        """Carries out the steps; what fails is noted in `scratch.failures` under the step's type.

        Raises:
            NotLeadingError: nothing more may be done by this replica.
        """
        for step in steps:
            self._guard()
            try:
                await self._executors[type(step)](bot, step, scratch)
                if scratch.wait_seconds is not None or scratch.in_use_by is not None:
                    return
            except StillHeldError as held:
                scratch.wait_seconds = held.seconds
                return
            except _TakenError:
                return
            except NotLeadingError:
                raise
            except (KubeError, StoreError, BusUnavailableError) as error:
                scratch.failures[type(step)] = failure_of(step, error)
                log.warning(
                    "step_failed", namespace=bot.namespace, bot=bot.name, step=type(step).__name__, error=str(error)
                )
                if not isinstance(error, BusUnavailableError):
                    return

    async def _look_up_secrets(self, bot: BotRecord, step: LookUpSecrets, scratch: Scratch) -> None:
        for name in step.names:
            scratch.secrets[name] = await self._absence(SECRETS, LABEL_CREDENTIALS, bot.namespace, name)

    async def _look_up_prompts(self, bot: BotRecord, step: LookUpPrompts, scratch: Scratch) -> None:
        for name in step.names:
            scratch.prompts[name] = await self._absence(CONFIG_MAPS, LABEL_PROMPT, bot.namespace, name)

    async def _absence(self, resource: Resource, label: str, namespace: str, name: str) -> Absence:
        """Why the watch of what has this label does not show an object."""
        found = await self._api.get(resource, namespace, name, metadata_only=True)
        if found is None:
            return Absence.MISSING
        labelled = (found["metadata"].get("labels") or {}).get(label) == "true"
        return Absence.ARRIVING if labelled else Absence.UNLABELLED

    async def _look_up_children(self, bot: BotRecord, step: LookUpChildren, scratch: Scratch) -> None:
        for kind in step.kinds:
            if (found := await self._child(bot, kind)) is not None:
                scratch.children[kind] = found
        scratch.looked_up = True

    async def _child(self, bot: BotRecord, kind: str) -> ChildRecord | None:
        """What has the name of this child now, whosever it is."""
        found = await self._api.get(
            CHILD_RESOURCES[kind], bot.namespace, child_name(kind, bot.name), metadata_only=True
        )
        return None if found is None else child_record(kind, found)

    async def _set_finalizer(self, bot: BotRecord, step: SetFinalizer, scratch: Scratch) -> None:
        """The list is that of now, and is not written if it has changed: others may have finalizers in it."""
        found = await self._api.get(TELEGRAM_BOTS, bot.namespace, bot.name, metadata_only=True)
        metadata = found["metadata"] if found is not None else {}
        if metadata.get("uid") != bot.uid:
            raise NotFoundError("the object is gone", status=404)
        if not step.wanted and metadata.get("generation", bot.generation) != bot.generation:
            # What was decided is of an older spec, or of before the deletion: its data may have to be erased now.
            scratch.wait_seconds = _NEWS_SECONDS
            return
        before = tuple(metadata.get("finalizers") or ())
        wanted = tuple(name for name in before if name != FINALIZER_ERASE) + (FINALIZER_ERASE,) * step.wanted
        if set(wanted) != set(before):
            change = {"uid": bot.uid, "resourceVersion": metadata["resourceVersion"], "finalizers": list(wanted)}
            await self._api.patch(
                TELEGRAM_BOTS, bot.namespace, bot.name, {"metadata": change}, content_type=MERGE_PATCH
            )
            log.info("finalizer_set", namespace=bot.namespace, bot=bot.name, stands=step.wanted)
        scratch.finalizers = wanted

    async def _erase_data(self, bot: BotRecord, step: EraseData, scratch: Scratch) -> None:
        identity = self._ledger.identity_of(bot.key, bot.uid)
        if identity is not None:
            scratch.wait_seconds = await self._eraser.erase(identity, pods=bool(self._world.pods_of(bot.key)))
            if scratch.wait_seconds is None:
                log.info("bot_erased", namespace=bot.namespace, bot=bot.name)

    async def _rotate(self, bot: BotRecord, step: Rotate, scratch: Scratch) -> None:
        identity = self._ledger.identity_of(bot.key, bot.uid)
        if identity is not None:
            await self._ledger.rotate(identity, step.request)
            log.info("credentials_rotated", namespace=bot.namespace, bot=bot.name)

    async def _ensure_identity(self, bot: BotRecord, step: EnsureIdentity, scratch: Scratch) -> None:
        await self._ledger.ensure_identity(bot.key, bot.uid, step.credential_digest)

    async def _bind(self, bot: BotRecord, step: Bind, scratch: Scratch) -> None:
        identity = self._ledger.identity_of(bot.key, bot.uid)
        if identity is None:
            raise AssertionError("an account is bound to a bot that has its row")
        # Before it is asked for: it may become free while the answer is on its way.
        self._world.wait_for(step.account_key, bot.key)
        result = await self._ledger.bind(identity, step.account_key, step.credential_digest)
        if isinstance(result, InUse):
            scratch.in_use_by = result.by
        else:
            self._world.wait_no_longer(step.account_key, bot.key)

    async def _prove(self, bot: BotRecord, step: Prove, scratch: Scratch) -> None:
        identity = self._ledger.identity_of(bot.key, bot.uid)
        if identity is not None:
            await self._ledger.prove(identity, step.account_key)

    async def _ensure_role(self, bot: BotRecord, step: EnsureRole, scratch: Scratch) -> None:
        identity = self._ledger.identity_of(bot.key, bot.uid)
        if identity is not None:
            await self._ledger.ensure_role(identity)

    async def _ensure_user(self, bot: BotRecord, step: EnsureUser, scratch: Scratch) -> None:
        identity = self._ledger.identity_of(bot.key, bot.uid)
        if identity is not None:
            await self._ledger.ensure_user(identity)

    async def _apply(self, bot: BotRecord, step: Apply, scratch: Scratch) -> None:
        kind, metadata = step.kind, step.manifest["metadata"]
        manifest = await self._with_template(step.manifest) if step.keeps_template else step.manifest
        resource, where = CHILD_RESOURCES[kind], (metadata["namespace"], metadata["name"])
        try:
            answered = await self._api.apply(resource, *where, manifest, uid=step.uid)
        except (ConflictError, InvalidError):
            found = await self._child(bot, kind)
            if found is not None and found.uid == step.uid:
                raise
            if found is not None:
                scratch.children[kind] = found
                raise _TakenError from None
            answered = await self._api.apply(resource, *where, manifest, uid=None)  # it went meanwhile
        self._remember(kind, answered)
        scratch.children.pop(kind, None)
        log.info("applied", namespace=bot.namespace, bot=bot.name, kind=kind, name=metadata["name"])

    async def _with_template(self, manifest: dict[str, Any]) -> dict[str, Any]:
        """Completes the manifest of a Deployment that is held back with the pod template that it remembers."""
        metadata = manifest["metadata"]
        found = await self._api.get(DEPLOYMENTS, metadata["namespace"], metadata["name"], metadata_only=True)
        whole = with_template(manifest, found) if found is not None else None
        if whole is None:
            raise ConflictError("the Deployment has changed meanwhile; its news is on its way", status=409)
        return whole

    async def _delete(self, bot: BotRecord, step: Delete, scratch: Scratch) -> None:
        child = step.child
        try:
            await self._api.delete(CHILD_RESOURCES[child.kind], child.namespace, child.name, uid=child.uid)
        except ConflictError:
            return  # another object has the name by now; the watch tells which
        scratch.children.pop(child.kind, None)
        self._mark_deleting(child)
        log.info("leftover_deleted", namespace=bot.namespace, bot=bot.name, kind=child.kind, name=child.name)

    async def _patch(self, bot: BotRecord, step: Patch, scratch: Scratch) -> None:
        child = step.child
        try:
            answered = await self._api.patch(
                CHILD_RESOURCES[child.kind],
                child.namespace,
                child.name,
                [same(child.uid), *step.operations],
                content_type=JSON_PATCH,
            )
        except InvalidError as error:
            # A test of the patch did not hold: the object has changed, or is another; its news is on its way.
            raise ConflictError(str(error), status=error.status) from error
        self._remember(child.kind, answered, step.operations)
        log.info("patched", namespace=bot.namespace, bot=bot.name, kind=child.kind, name=child.name)

    def _remember(self, kind: str, metadata: dict[str, Any], operations: Sequence[Mapping[str, Any]] = ()) -> None:
        """The answer to an own write is news at once; the watch would bring it some milliseconds later."""
        informer = self._world.children[kind]
        record = child_record(kind, {"metadata": metadata})
        old = informer.get(record.namespace, record.name)
        if old is not None and old.uid == record.uid and old.deployment is not None:
            # What was patched away is not looked at again until the watch shows the pod template as it is now.
            state = replace(old.deployment, lists=()) if operations else old.deployment
            for operation in operations:
                if operation["path"] == REPLICAS:
                    state = replace(state, wanted=operation["value"])
            record = replace(record, deployment=state)
        informer.put(record)

    def _mark_deleting(self, child: ChildRecord) -> None:
        informer = self._world.children[child.kind]
        old = informer.get(child.namespace, child.name)
        if old is not None and old.uid == child.uid:
            informer.amend(replace(old, deleting=True))


def failure_of(step: Step, error: Exception) -> Failure:
    """In words for the condition Provisioned, and how long to wait at least."""
    if isinstance(error, StoreError):
        return Failure(Reason.DATABASE_UNAVAILABLE)
    if isinstance(error, BusUnavailableError):
        return Failure(Reason.REDIS_UNAVAILABLE)
    kind, name = "Object", ""
    if isinstance(step, Apply):
        kind, name = step.kind, str(step.manifest["metadata"]["name"])
    elif isinstance(step, (Delete, Patch)):
        kind, name = step.child.kind, step.child.name
    elif isinstance(step, SetFinalizer):
        kind = "TelegramBot"
    elif isinstance(step, LookUpSecrets):
        kind, name = "Secret", ", ".join(step.names)
    elif isinstance(step, LookUpPrompts):
        kind, name = "ConfigMap", ", ".join(step.names)
    elif isinstance(step, LookUpChildren):
        kind, name = ", ".join(step.kinds), ""
    code = error.status if isinstance(error, KubeError) else 0
    seconds = error.retry_after or 0.0 if isinstance(error, KubeError) else 0.0
    return Failure(Reason.APPLY_FAILED, {"kind": kind, "name": name, "code": code}, seconds)
