"""
Why: what to do about a bot that is being deleted, and whether a finalizer has to stand for that, as pure functions.
Never: erase because something is absent: only a deletion that the watch shows, with our finalizer, and `Erase` in the spec.
"""

from __future__ import annotations

from dataclasses import replace

from botfleet.conditions import ConditionType, Reason
from botfleet.spec import DeletionPolicy
from botfleet_operator import judgement
from botfleet_operator.model import ours, unowned
from botfleet_operator.names import FINALIZER_ERASE
from botfleet_operator.plan import Delete, EraseData, LookUpChildren, Observed, Plan, SetFinalizer, Step, Verdict

_WAITS = {
    Reason.DATABASE_UNAVAILABLE: Reason.ERASING_NEEDS_DATABASE,
    Reason.REDIS_UNAVAILABLE: Reason.ERASING_NEEDS_REDIS,
}

_LOOK_AGAIN_SECONDS = 5.0


def erases(observed: Observed) -> bool:
    """Whether the data is to go with the object. Of any spec, accepted or not: a deletion asks nobody."""
    layers = (observed.bot.spec, observed.nearer.layer if observed.nearer else {}, observed.defaults)
    said = next((layer["deletionPolicy"] for layer in layers if layer.get("deletionPolicy")), None)
    return said == DeletionPolicy.ERASE.value


def finalizer_step(observed: Observed) -> SetFinalizer | None:
    """What has to be done about the finalizer of a living object before anything else is."""
    wanted = erases(observed)
    return SetFinalizer(wanted) if wanted != (FINALIZER_ERASE in observed.bot.finalizers) else None


def decide_deleted(observed: Observed) -> Plan:
    """Of an object that is being deleted. Without our finalizer nothing: what it had goes when the object has gone."""
    if FINALIZER_ERASE not in observed.bot.finalizers:
        return judgement.plan(observed, None, (), ())
    if observed.bot.spec.get("deletionPolicy") == DeletionPolicy.RETAIN.value:
        # Its owner has changed their mind, and says so: defaults that are gone, with their namespace perhaps, say nothing.
        return _plan(observed, SetFinalizer(False))
    child = observed.children.get("Deployment")
    if child is None and not observed.looked_up and (observed.pods or observed.identity is not None):
        # The watch shows what has our labels; somebody may have taken them away.
        return _plan(observed, LookUpChildren(("Deployment",)), Reason.ERASING_WAITS_FOR_RUNNER)
    if child is not None and not child.deleting and (ours(observed.bot, child) or unowned(child)):
        return _plan(observed, Delete(child), Reason.ERASING_WAITS_FOR_RUNNER)
    beat = observed.heartbeat
    if observed.identity is None:
        return _plan(observed, SetFinalizer(False), Reason.ERASING)
    if observed.pods and beat is not None and beat.alive:
        # It stops as it would at any other time: what it has begun to say is said, and its lease released.
        return replace(_plan(observed, None, Reason.ERASING_WAITS_FOR_RUNNER), retry_seconds=_LOOK_AGAIN_SECONDS)
    return _plan(observed, EraseData(), Reason.ERASING)


def _plan(observed: Observed, step: Step | None, reason: Reason | None = None) -> Plan:
    steps = () if step is None or type(step) in observed.failures else (step,)
    for failure in observed.failures.values():
        reason = _WAITS.get(failure.reason, reason)
    verdicts = () if reason is None else (Verdict(ConditionType.ERASED, "False", reason),)
    return judgement.plan(observed, None, steps, verdicts)


def held(plan: Plan) -> Plan:
    """The finalizer cannot be set now: until then nothing is made, and the status does not say that the spec is in force."""
    return replace(judgement.looking(plan), in_force=False)
