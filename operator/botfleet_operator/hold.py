"""
Why: a bot whose pod template changes from the installation's side keeps the old one until its wave (rollout.py); its owner's own
change is applied at once, and brings the new template with it.
Never: hold back anything else: labels, replicas, foreign containers are repaired meanwhile, and the pod template to what it was.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from botfleet.conditions import ConditionType, Reason
from botfleet_operator.builders import stamped
from botfleet_operator.model import ChildRecord, moment
from botfleet_operator.names import ANNOTATION_APPLIED, ANNOTATION_OWNER, ANNOTATION_ROLLED_OUT, ANNOTATION_SPEC
from botfleet_operator.owner import owner_changed
from botfleet_operator.plan import Observed, Verdict
from botfleet_operator.podtemplate import TemplateRecord, digest_of, without_template

_UP_TO_DATE = ConditionType.UP_TO_DATE
UNFINISHED = frozenset({Reason.ROLLOUT_IN_PROGRESS.value, Reason.ROLLOUT_FAILED.value})

Manifests = list[dict[str, Any]]


def settle(observed: Observed, manifests: Manifests) -> tuple[Observed, Manifests]:
    """What of the manifests may be applied now, and the bot with what it is to be measured by."""
    deployment = next(m for m in manifests if m["kind"] == "Deployment")
    wanted = digest_of(deployment)
    observed = replace(observed, template=wanted)
    child = observed.children.get("Deployment")
    if child is None or child.deleting or child.template is None or child.controller_uid != observed.bot.uid:
        return observed, manifests
    if child.template.digest == wanted:
        return observed, _with(manifests, _rolled_out(deployment, child.rolled_out))
    changed = _by_the_owner(observed, child, child.template, deployment)
    config = next(m for m in manifests if m["kind"] == "ConfigMap")
    if changed or _may(observed) or not _can_be_kept(observed, child.template, config, deployment):
        waits = is_unfinished(observed) or (not changed and _was(observed, ConditionType.READY).get("status") == "True")
        return observed, _with(manifests, _rolled_out(deployment, observed.turn.now if waits else ""))
    held = stamped(without_template(_bare(deployment), child.template))
    kept = [m for m in manifests if m is not config or not _is_whole_and_old(observed, config)]
    return replace(observed, held=child.template), _with(kept, _rolled_out(held, child.rolled_out))


def up_to_date(observed: Observed, ready: Verdict, *, suspended: bool) -> list[Verdict]:
    """Whether the bot has the newest pod template, and works with it when a wave brought it. Nothing: as before."""
    child = observed.children.get("Deployment")
    if observed.held is not None:
        return [Verdict(_UP_TO_DATE, "False", Reason.ROLLOUT_PENDING)]
    if child is None or child.template is None or child.template.digest != observed.template:
        return []
    if suspended or not _is_waited_for(observed, child) or (ready.status == "True" and _is_fresh(observed)):
        return [Verdict(_UP_TO_DATE, "True", Reason.UP_TO_DATE)]
    if observed.turn.overdue:
        return [Verdict(_UP_TO_DATE, "False", Reason.ROLLOUT_FAILED, {"seconds": observed.turn.timeout_seconds})]
    return [Verdict(_UP_TO_DATE, "Unknown", Reason.ROLLOUT_IN_PROGRESS)]


def is_unfinished(observed: Observed) -> bool:
    """Whether a wave waits for this bot, or has waited in vain: it may take another template at once, and is waited for again."""
    return _was(observed, _UP_TO_DATE).get("reason") in UNFINISHED


def _may(observed: Observed) -> bool:
    return observed.turn.may or is_unfinished(observed)


def _by_the_owner(observed: Observed, child: ChildRecord, old: TemplateRecord, deployment: dict[str, Any]) -> bool:
    if deployment["spec"]["replicas"] == 0:
        return True  # there is no pod to be careful of
    if owner_changed(old.owner, deployment["metadata"]["annotations"][ANNOTATION_OWNER]):
        return True
    pending, restarted = _pending_since(observed), child.deployment.restarted_at if child.deployment else None
    return pending is not None and restarted is not None and restarted > pending


def _pending_since(observed: Observed) -> datetime | None:
    condition = _was(observed, _UP_TO_DATE)
    return moment(condition.get("lastTransitionTime")) if condition.get("reason") == Reason.ROLLOUT_PENDING else None


def _is_waited_for(observed: Observed, child: ChildRecord) -> bool:
    """The mark on the Deployment counts until the bot has been Ready since; one of an earlier roll-out does not count."""
    condition = _was(observed, _UP_TO_DATE)
    if not child.rolled_out or condition.get("status") == "True":
        return False
    return condition.get("reason") in UNFINISHED or child.rolled_out >= str(condition.get("lastTransitionTime", ""))


def _is_fresh(observed: Observed) -> bool:
    """Whether who holds the lease is a pod of the template as it should be. (Between the old pod and the new one there is none.)"""
    holder = observed.heartbeat.holder if observed.heartbeat else None
    return any(p.uid == holder and p.template == observed.template for p in observed.pods)


def _can_be_kept(observed: Observed, old: TemplateRecord, config: dict[str, Any], deployment: dict[str, Any]) -> bool:
    """What the runner reads has to be there as well: an old ConfigMap that is gone, or touched, cannot be restored."""
    child = observed.children.get("ConfigMap")
    if child is not None and child.applied_hash == config["metadata"]["annotations"][ANNOTATION_APPLIED]:
        return True
    same = deployment["spec"]["template"]["metadata"]["annotations"][ANNOTATION_SPEC] == old.spec_digest
    return same or _is_whole_and_old(observed, config)


def _is_whole_and_old(observed: Observed, config: dict[str, Any]) -> bool:
    # Not by the new manifest: another operator may build another one, and nobody has touched the old for that.
    child = observed.children.get("ConfigMap")
    if child is None or child.deleting or child.fields is None:
        return False
    is_old = child.applied_hash != config["metadata"]["annotations"][ANNOTATION_APPLIED]
    return is_old and bool(child.fields.get("f:data"))


def _was(observed: Observed, kind: ConditionType) -> dict[str, Any]:
    """A condition as it was written last."""
    return next((c for c in observed.bot.status.get("conditions") or () if c.get("type") == kind), {})


def _with(manifests: Manifests, deployment: dict[str, Any]) -> Manifests:
    return [deployment if m["kind"] == "Deployment" else m for m in manifests]


def _bare(manifest: dict[str, Any]) -> dict[str, Any]:
    annotations = {k: v for k, v in manifest["metadata"]["annotations"].items() if k != ANNOTATION_APPLIED}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def _rolled_out(deployment: dict[str, Any], stamp: str) -> dict[str, Any]:
    if not stamp:
        return deployment
    annotations = {**deployment["metadata"]["annotations"], ANNOTATION_ROLLED_OUT: stamp}
    return {**deployment, "metadata": {**deployment["metadata"], "annotations": annotations}}
