"""
Why: what to do next about one bot, and what to say about it: the whole policy of the operator, as a pure function.
Never: a clock, a network, a Kubernetes client, a random number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from botfleet.conditions import ConditionType, Reason
from botfleet_operator import erasing, judgement
from botfleet_operator.acceptance import Accepted, Refused, Undecided, accept
from botfleet_operator.builders import Blueprint, configmap, deployment, networkpolicy, secret, serviceaccount, stamped
from botfleet_operator.egress import beyond
from botfleet_operator.fields import covers
from botfleet_operator.hold import Manifests, settle
from botfleet_operator.model import BotRecord, ChildRecord, ours, unowned
from botfleet_operator.names import ANNOTATION_APPLIED
from botfleet_operator.owner import owner_mark
from botfleet_operator.plan import (
    REPLICAS,
    Apply,
    Bind,
    Delete,
    EnsureIdentity,
    EnsureRole,
    EnsureUser,
    LookUpChildren,
    LookUpPrompts,
    LookUpSecrets,
    Observed,
    Patch,
    Plan,
    Prove,
    Rotate,
    SetFinalizer,
    Step,
    Verdict,
)
from botfleet_operator.podtemplate import NamedList, named_lists

# In the order in which they are made: the Deployment comes last, when everything that its pod needs is there and all that it
# may not reach is closed.
KINDS = ("ServiceAccount", "NetworkPolicy", "ConfigMap", "Secret", "Deployment")
_BUILDERS = (serviceaccount, networkpolicy, configmap, secret, deployment)
_POD_SPEC = "/spec/template/spec"
_SOON_SECONDS = 0.2


def decide(observed: Observed) -> Plan:
    """The next steps, and the conditions as they are before them."""
    if observed.bot.deleting:
        return erasing.decide_deleted(observed)
    finalizer = erasing.finalizer_step(observed)
    if finalizer is not None and SetFinalizer not in observed.failures:
        return judgement.undecided(observed, (finalizer,), None)
    plan = _decide_living(observed)
    if finalizer is not None:
        return erasing.held(plan)
    return judgement.paused(plan) if observed.bot.paused else plan


def _decide_living(observed: Observed) -> Plan:
    acceptance = accept(
        observed.bot, observed.defaults, observed.secrets, observed.nearer, observed.prompts, observed.allowed
    )
    if isinstance(acceptance, Undecided):
        steps: list[Step] = [LookUpSecrets(acceptance.secrets)] if acceptance.secrets else []
        steps += [LookUpPrompts(acceptance.prompts)] if acceptance.prompts else []
        return judgement.undecided(observed, steps, None if steps else _SOON_SECONDS)
    if isinstance(acceptance, Refused):
        refusal = Verdict(ConditionType.ACCEPTED, "False", acceptance.reason, acceptance.values)
        refused = _predecessors(observed) or (_stop(observed) if acceptance.suspend else ())
        return judgement.plan(observed, None, refused, (refusal,))
    return _decide_accepted(observed, acceptance)


def _decide_accepted(observed: Observed, accepted: Accepted) -> Plan:
    stop = _stop(observed) if accepted.spec.suspend else ()
    refused = _predecessors(observed) or stop
    network = observed.platform.network
    too_far = beyond(accepted.spec.egress, network, observed.bot.namespace) if network else []
    if too_far:
        refusal = Verdict(ConditionType.ACCEPTED, "False", too_far[0].reason, too_far[0].values)
        left_out = {one.rule for one in too_far}
        return judgement.plan(observed, accepted, (*refused, *_narrowed(observed, accepted, left_out)), (refusal,))
    if observed.in_use_by is not None:
        other = observed.in_use_by
        here = f" (TelegramBot {other.name})" if other.namespace == observed.bot.namespace else ""
        refusal = Verdict(ConditionType.ACCEPTED, "False", Reason.ACCOUNT_IN_USE, {"other": here})
        return judgement.plan(observed, accepted, refused, (refusal,))
    unseen = tuple(kind for kind in _kinds(observed) if kind not in observed.children)
    if unseen and not observed.looked_up and _had_conflict(observed.bot):
        return judgement.undecided(observed, (LookUpChildren(unseen),), None)
    conflict = _conflict(observed)
    if conflict is not None:
        refusal = Verdict(
            ConditionType.ACCEPTED, "False", Reason.NAME_CONFLICT, {"kind": conflict.kind, "name": conflict.name}
        )
        return judgement.plan(observed, accepted, refused, (refusal,))
    fine = Verdict(ConditionType.ACCEPTED, "True", Reason.ACCEPTED)
    manifests: Manifests = []
    # What the database has to have before there is a Deployment depends on no manifest; building them costs most of a round.
    too_early = "Deployment" not in observed.children and _database_steps(observed, accepted)
    if observed.identity is not None and not too_early:
        observed, manifests = settle(observed, build_all(observed, accepted))
    database = _database_steps(observed, accepted)
    # With the stop before them: a database that is away keeps nothing running.
    steps = (*stop, *database) if database else _child_steps(observed, manifests)
    steps = tuple(step for step in steps if type(step) not in observed.failures)
    return judgement.plan(observed, accepted, steps, (fine,))


def _stop(observed: Observed) -> tuple[Step, ...]:
    """Suspending works from any state: what runs is stopped although nothing else may be changed."""
    child = observed.children.get("Deployment")
    if child is None or not (ours(observed.bot, child) or unowned(child)) or not _wants_pods(child):
        return ()
    if Patch in observed.failures:
        return ()
    return (Patch(child, ({"op": "replace", "path": REPLICAS, "value": 0},)),)


def _predecessors(observed: Observed) -> tuple[Step, ...]:
    """Of a bot that is not accepted: what has its name, was made by us and has no owner, although the bot has never had an account
    and so no child, was left by an object of before. Nobody collects it. The Deployment first: its pods keep their policy."""
    if observed.bound or Delete in observed.failures:
        return ()
    found = (observed.children.get(kind) for kind in reversed(KINDS))
    return tuple(Delete(child) for child in found if child is not None and unowned(child) and not child.deleting)


def _wants_pods(child: ChildRecord) -> bool:
    return child.deployment is not None and child.deployment.wanted > 0


def _database_steps(observed: Observed, accepted: Accepted) -> tuple[Step, ...]:
    """Row, binding, generation, role, user, in this order: the account is bound before there is a Deployment."""
    if observed.identity is None:
        row = EnsureIdentity(accepted.credential_digest)
        if EnsureIdentity in observed.failures:
            return (row,)  # nothing can be bound to a bot without its row
        return (row, Bind(accepted.account_key, accepted.credential_digest))
    if not _is_bound(observed, accepted.account_key, accepted.credential_digest):
        return (Bind(accepted.account_key, accepted.credential_digest),)
    health = observed.heartbeat.health if observed.heartbeat else None
    if health is not None and health.account_id is not None and accepted.account_key.startswith("session:"):
        # Two sessions of one person have different digests; only the id finds them.
        key = f"user:{health.account_id}"
        if judgement.proves(observed, accepted) and not _is_bound(observed, key, accepted.credential_digest):
            return (Bind(key, accepted.credential_digest),)
    request = observed.bot.rotation
    if request is not None and request != observed.identity.rotation:
        return (Rotate(request),)
    steps: list[Step] = []
    if judgement.needs_earlier_credentials(observed):
        return ()  # role and user are given the new ones when that runner has released the lease
    if not observed.role_ready:
        steps.append(EnsureRole())
    if not observed.user_ready and EnsureUser not in observed.failures:
        steps.append(EnsureUser())
    if health is not None and health.authorized and judgement.proves(observed, accepted):
        proving = [a for a in observed.bound if a.credential_digest == accepted.credential_digest]
        left = len(proving) < len(observed.bound)  # an account of before is still the bot's
        steps.extend(Prove(account.account_key) for account in proving if left or not account.proved)
    return tuple(steps)


def _is_bound(observed: Observed, account_key: str, credential_digest: str) -> bool:
    return any(a.account_key == account_key and a.credential_digest == credential_digest for a in observed.bound)


def _kinds(observed: Observed) -> tuple[str, ...]:
    return tuple(kind for kind in KINDS if kind != "NetworkPolicy" or observed.platform.network)


def _narrowed(observed: Observed, accepted: Accepted, left_out: set[int]) -> tuple[Step, ...]:
    """A policy that is in force loses the rules that are not allowed any more; nothing else of the bot is changed."""
    child = observed.children.get("NetworkPolicy")
    if child is None or not ours(observed.bot, child) or observed.identity is None:
        return ()
    kept = tuple(rule for place, rule in enumerate(accepted.spec.egress) if place not in left_out)
    narrow = replace(accepted, spec=replace(accepted.spec, egress=kept))
    return tuple(
        step
        for manifest in build_all(observed, narrow)
        if manifest["kind"] == "NetworkPolicy"
        for step in _steps_for(observed, manifest)
        if type(step) not in observed.failures
    )


def _child_steps(observed: Observed, manifests: Manifests) -> tuple[Step, ...]:
    steps: list[Step] = []
    policy = observed.children.get("NetworkPolicy")
    if observed.platform.network is None and policy is not None and not policy.deleting and policy.fields is not None:
        steps.append(Delete(policy))  # of a time when bots had network policies
    for manifest in manifests:
        steps.extend(_steps_for(observed, manifest))
    return tuple(steps)


def build_all(observed: Observed, accepted: Accepted) -> list[dict[str, Any]]:
    """The manifests of all children, in the order in which they are applied."""
    identity, own = observed.identity, observed.own
    if identity is None or own is None:
        raise AssertionError("children are built after the bot has its row")
    blueprint = Blueprint(
        namespace=observed.bot.namespace,
        name=observed.bot.name,
        uid=observed.bot.uid,
        spec=accepted.spec,
        platform=observed.platform,
        bot_id=identity.bot_id,
        role=identity.role,
        redis_user=identity.redis_user,
        spec_digest=accepted.spec_digest,
        credentials_digest=judgement.credentials_mark(accepted, identity),
        owner_digest=owner_mark(observed.bot, accepted, identity, observed.nearer),
        database_password=own.database_password,
        redis_password=own.redis_password,
        session_key=own.session_key,
    )
    kinds = _kinds(observed)
    return [stamped(module.build(blueprint)) for kind, module in zip(KINDS, _BUILDERS, strict=True) if kind in kinds]


def _steps_for(observed: Observed, manifest: dict[str, Any]) -> list[Step]:
    child = observed.children.get(manifest["kind"])
    if child is None:
        return [Apply(manifest)]
    if child.deleting:
        return []  # its end comes by the watch, and then it is made anew
    wanted = manifest["metadata"]["annotations"][ANNOTATION_APPLIED]
    if not ours(observed.bot, child) and child.applied_hash != wanted:
        return [Delete(child)]  # left by an owner that is gone
    steps: list[Step] = []
    held = observed.held if child.kind == "Deployment" else None
    whole = child.fields is not None and covers(child.fields, manifest) and (held is None or held.whole)
    if child.applied_hash != wanted or not whole:
        steps.append(Apply(manifest, child.uid, keeps_template=held is not None))
    if child.deployment is not None:
        operations = removals(child, held.lists if held else named_lists(manifest["spec"]["template"]["spec"]))
        if operations:
            steps.append(Patch(child, operations))
    return steps


def removals(child: ChildRecord, lists: tuple[NamedList, ...]) -> tuple[dict[str, Any], ...]:
    """A JSON patch that takes foreign containers, env, volumes and mounts out of a Deployment. Each removal is tested
    first, so that a patch which comes too late does nothing. Later indexes first, so that earlier ones stay true."""
    state = child.deployment
    if state is None:
        return ()
    wanted = {part.label: set(part.names) for part in lists}
    containers = wanted["containers"]
    operations: list[dict[str, Any]] = []
    for part in reversed(state.lists):
        group, _, rest = part.label.partition(" ")
        if rest and (group != "containers" or rest.split(" ")[0] not in containers):
            continue  # it goes with its container
        for index in reversed(range(len(part.names))):
            name = part.names[index]
            if name in wanted.get(part.label, set()):
                continue
            path = f"{_POD_SPEC}{part.pointer}/{index}"
            if name is not None:
                operations.append({"op": "test", "path": f"{path}/{part.key}", "value": name})
            operations.append({"op": "remove", "path": path})
    return tuple(operations)


def _had_conflict(bot: BotRecord) -> bool:
    """A name was taken when the bot was looked at last: asking costs less than trying, and no write is seen in the audit log."""
    return any(c.get("reason") == Reason.NAME_CONFLICT for c in bot.status.get("conditions") or ())


def _conflict(observed: Observed) -> ChildRecord | None:
    """An object with a name that we need and that was never applied by us."""
    for kind, child in observed.children.items():
        if kind in _kinds(observed) and child.fields is None and not ours(observed.bot, child):
            return child
    return None
