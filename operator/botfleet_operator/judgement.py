"""
Why: what `kubectl get telegrambots` says: conditions and phase, from what is known and nothing else.
Never: claim what was not seen; what is not known keeps its old word or becomes Unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from botfleet.conditions import REASONS, ConditionType, Phase, Reason
from botfleet.health import Health
from botfleet_operator.acceptance import Accepted
from botfleet_operator.hold import up_to_date
from botfleet_operator.model import PodRecord
from botfleet_operator.plan import (
    Failure,
    Identity,
    LookUpChildren,
    LookUpPrompts,
    LookUpSecrets,
    Observed,
    Plan,
    Step,
    Verdict,
)
from botfleet_operator.reported import HIDES, figures, reported

_LOOPS = {Reason.CRASH_LOOPING, Reason.OUT_OF_MEMORY}
_READY, _AUTHORIZED, _PROVISIONED = ConditionType.READY, ConditionType.AUTHORIZED, ConditionType.PROVISIONED


def plan(observed: Observed, accepted: Accepted | None, steps: Sequence[Step], verdicts: tuple[Verdict, ...]) -> Plan:
    """The plan with these steps; `verdicts` has the word on Accepted (none while the object is being deleted)."""
    said = list(verdicts)
    refused = any(v.status == "False" for v in verdicts)
    suspended = accepted.spec.suspend if accepted else observed.bot.spec.get("suspend") is True
    if not observed.bot.deleting:
        if refused:
            said.append(Verdict(_PROVISIONED, "False", Reason.NOT_ACCEPTED))
        else:
            said.extend(_provisioned(observed, steps))
        said.extend(_authorized(observed, suspended))
        ready = _ready(observed, accepted, refused=refused, suspended=suspended)
        said += [ready, *reported(accepted, _serving(observed, accepted) if accepted else None, ready)]
        said += up_to_date(observed, ready, suspended=suspended)
    health = observed.heartbeat.health if observed.heartbeat else None
    retry = max((failure.seconds for failure in observed.failures.values()), default=None)
    return Plan(
        steps=tuple(steps),
        verdicts=tuple(said),
        phase=phase(observed, said, refused=refused, suspended=suspended),
        account_id=health.account_id if health else None,
        username=health.username if health else None,
        figures=figures(accepted, health),
        retry_seconds=retry,
        defaults=observed.nearer,
    )


def undecided(observed: Observed, steps: Sequence[Step], retry_seconds: float | None) -> Plan:
    """A plan that says nothing yet: first something has to be looked up."""
    left = tuple(step for step in steps if type(step) not in observed.failures)
    before = observed.bot.status.get("phase")
    return Plan(
        steps=left,
        verdicts=(),
        phase=Phase(before) if before in set(Phase) else Phase.PENDING,
        retry_seconds=retry_seconds,
    )


def looking(plan: Plan) -> Plan:
    """The plan without what would change anything."""
    looks = LookUpSecrets | LookUpPrompts | LookUpChildren
    return replace(plan, steps=tuple(step for step in plan.steps if isinstance(step, looks)))


def paused(plan: Plan) -> Plan:
    """What is seen is told, and nothing is changed: a person has the bot in hand."""
    plan = looking(plan)
    if not plan.verdicts:
        return plan
    said = tuple(v for v in plan.verdicts if v.type is not _PROVISIONED)
    return replace(plan, verdicts=(*said, Verdict(_PROVISIONED, "Unknown", Reason.PAUSED)))


def _provisioned(observed: Observed, steps: Sequence[Step]) -> list[Verdict]:
    failure = _worst(list(observed.failures.values()))
    if failure is not None:
        return [Verdict(_PROVISIONED, "False", failure.reason, failure.values)]
    unfinished = steps or not observed.role_ready or any(child.deleting for child in observed.children.values())
    return [] if unfinished else [Verdict(_PROVISIONED, "True", Reason.PROVISIONED)]


def _worst(failures: list[Failure]) -> Failure | None:
    order = (Reason.DATABASE_UNAVAILABLE, Reason.APPLY_FAILED, Reason.REDIS_UNAVAILABLE)
    ranked = sorted(failures, key=lambda f: order.index(f.reason) if f.reason in order else len(order))
    return ranked[0] if ranked else None


def _fits(reason: Reason | None, condition: ConditionType) -> bool:
    return reason is not None and condition in REASONS[reason].conditions


def _is_silent(observed: Observed) -> bool:
    """A runner that should speak does not."""
    beat = observed.heartbeat
    return beat is not None and beat.silent and beat.holder is not None


def _authorized(observed: Observed, suspended: bool) -> list[Verdict]:
    health = observed.heartbeat.health if observed.heartbeat else None
    if health is None or health.authorized is None:
        if health is not None and health.reason is Reason.BINDING_PENDING:
            return [Verdict(_AUTHORIZED, "False", Reason.BINDING_PENDING)]
        known = any(c.get("type") == _AUTHORIZED for c in observed.bot.status.get("conditions") or ())
        return [] if known else [Verdict(_AUTHORIZED, "Unknown", Reason.NEVER_LOGGED_IN)]
    if _is_silent(observed) and not suspended:
        return [Verdict(_AUTHORIZED, "Unknown", Reason.NO_HEARTBEAT)]
    if health.authorized:
        return [Verdict(_AUTHORIZED, "True", Reason.AUTHORIZED)]
    reason = health.reason if health.reason and _fits(health.reason, _AUTHORIZED) else Reason.NEVER_LOGGED_IN
    return [Verdict(_AUTHORIZED, "False", reason)]


def _ready(observed: Observed, accepted: Accepted | None, *, refused: bool, suspended: bool) -> Verdict:
    if suspended:
        return Verdict(_READY, "False", Reason.SUSPENDED)
    if refused or accepted is None:
        return Verdict(_READY, "False", Reason.NOT_ACCEPTED)
    health = _serving(observed, accepted)
    if health is not None:
        return _of_health(health)
    trouble = _trouble(observed)
    if trouble is not None:
        return Verdict(_READY, "False", trouble)
    if _is_silent(observed):
        return Verdict(_READY, "Unknown", Reason.NO_HEARTBEAT)
    beat = observed.heartbeat
    waiting = any(pod.running and not pod.deleting for pod in observed.pods)
    if beat is not None and beat.alive and beat.holder and waiting and _pod(observed, beat.holder) is None:
        return Verdict(_READY, "False", Reason.LEASE_HELD_ELSEWHERE)
    return Verdict(_READY, "False", Reason.STARTING)


def _trouble(observed: Observed) -> Reason | None:
    """What keeps the pod from running. While it ends and starts again that stays one word: a pod that is killed for its memory
    waits like one that crashes, and both run for a moment in between."""
    pods = [pod for pod in observed.pods if not pod.deleting]
    trouble = next((pod.trouble for pod in pods if pod.trouble), None)
    before = next(
        (c.get("reason") for c in observed.bot.status.get("conditions") or () if c.get("type") == _READY), None
    )
    if trouble in (None, Reason.CRASH_LOOPING) and before in _LOOPS and any(pod.restarting for pod in pods):
        return Reason(before)
    return trouble


def _of_health(health: Health) -> Verdict:
    if health.ready:
        return Verdict(_READY, "True", Reason.READY)
    if health.authorized is False:
        return Verdict(_READY, "False", Reason.NOT_AUTHORIZED)
    if health.reason is not None and _fits(health.reason, _READY):
        return Verdict(_READY, "False", health.reason)
    waits = not health.authorized or health.reason is Reason.BINDING_PENDING
    return Verdict(_READY, "False", Reason.STARTING if waits else Reason.DISCONNECTED)


def _pod(observed: Observed, uid: str) -> PodRecord | None:
    return next((pod for pod in observed.pods if pod.uid == uid), None)


def credentials_mark(accepted: Accepted, identity: Identity) -> str:
    """The annotation of a pod that runs with the owner's Secrets and the bot's own credentials as they are now."""
    return f"{accepted.credentials_digest}-{identity.generation}.{identity.session_generation}"


def needs_earlier_credentials(observed: Observed) -> bool:
    """A runner that was made with an earlier generation of the derived credentials has the lease: it needs them to end
    as it should. PostgreSQL knows one password of a role."""
    beat, identity = observed.heartbeat, observed.identity
    if observed.role_ready or not observed.role_exists or beat is None or not beat.alive or identity is None:
        return False
    pod = _pod(observed, beat.holder or "")
    mark = f"-{identity.generation}.{identity.session_generation}"
    return pod is not None and not pod.ended and pod.credentials is not None and not pod.credentials.endswith(mark)


def speaks_for(observed: Observed, accepted: Accepted) -> bool:
    """Whether the heartbeat is that of a runner with the current spec and credentials, or those with which the bot is held
    back. (A predecessor's word proves nothing about a new token. Where no pod is seen at all there is nothing to compare with.)"""
    beat = observed.heartbeat
    if beat is None or beat.health is None or not beat.holder or observed.identity is None:
        return False
    held = observed.held
    if beat.health.spec_digest != (held.spec_digest if held else accepted.spec_digest):
        return False
    pod = _pod(observed, beat.holder)
    if pod is None:
        return not observed.pods
    return pod.credentials == (held.credentials if held else credentials_mark(accepted, observed.identity))


def proves(observed: Observed, accepted: Accepted) -> bool:
    """Whether the heartbeat can show that Telegram took the credential as it is now: it must be that of a pod which is
    there and was made with it. The word of a runner that is gone was about another one."""
    beat = observed.heartbeat
    pod = _pod(observed, beat.holder) if beat is not None and beat.holder else None
    return beat is not None and beat.alive and pod is not None and not pod.ended and speaks_for(observed, accepted)


def _serving(observed: Observed, accepted: Accepted) -> Health | None:
    """The health of a runner that holds the lease, runs what it should, and whose pod is there, as far as is seen."""
    beat = observed.heartbeat
    if beat is None or not beat.holder or not beat.alive or beat.silent or not speaks_for(observed, accepted):
        return None
    pod = _pod(observed, beat.holder)
    return None if pod is not None and (pod.deleting or pod.ended) else beat.health


_TROUBLE = {
    Reason.CRASH_LOOPING, Reason.OUT_OF_MEMORY, Reason.IMAGE_PULL_FAILED, Reason.UNSCHEDULABLE, Reason.NO_HEARTBEAT,
}  # fmt: skip
_PAUSED = {Phase.SUSPENDED, Phase.SUSPENDING, Phase.RESUMING}
_RAN = {Phase.RUNNING, Phase.DEGRADED}


def phase(observed: Observed, verdicts: Sequence[Verdict], *, refused: bool, suspended: bool) -> Phase:
    """One word; the table is in docs/design/operator.md."""
    if observed.bot.deleting:
        return Phase.DELETING
    child = observed.children.get("Deployment")
    state = child.deployment if child else None
    if suspended:
        stopped = not observed.pods and (state is None or (state.replicas == 0 and state.wanted == 0))
        return Phase.SUSPENDED if stopped else Phase.SUSPENDING
    words = {verdict.type: verdict for verdict in verdicts}
    authorized = words.get(_AUTHORIZED)
    if refused or (
        authorized is not None
        and authorized.status == "False"
        and child is not None
        and authorized.reason is not Reason.BINDING_PENDING
    ):
        return Phase.FAILED
    if child is None:
        return Phase.PENDING
    if words[_READY].status == "True" and _is_hindered(words):
        return Phase.DEGRADED
    return _running_phase(words[_READY], observed.bot.status.get("phase"))


def _is_hindered(words: Mapping[ConditionType, Verdict]) -> bool:
    """Whether a bot that is Ready does not do what its owner expects of it, and not because the owner said so."""
    hidden = words[ConditionType.RECEIVING].reason in HIDES
    return hidden or any(
        words[c].status == "False" for c in (ConditionType.MODEL_AVAILABLE, ConditionType.UNRESTRICTED)
    )


def _running_phase(ready: Verdict, before: object) -> Phase:
    if ready.status == "True":
        return Phase.RUNNING
    if ready.reason in _TROUBLE:
        return Phase.DEGRADED
    if before in _PAUSED:
        return Phase.RESUMING
    if before in _RAN and ready.reason is not Reason.STARTING:
        return Phase.DEGRADED
    return Phase.STARTING
