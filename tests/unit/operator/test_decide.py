"""What is done next, in which order, and what is never done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from botfleet.conditions import ConditionType, Reason
from botfleet_operator.acceptance import Accepted, Undecided, accept
from botfleet_operator.decide import KINDS, build_all, decide, removals
from botfleet_operator.model import BotKey, child_record
from botfleet_operator.names import ANNOTATION_ROLLED_OUT
from botfleet_operator.plan import (
    Absence,
    Apply,
    Bind,
    BoundAccount,
    Delete,
    EnsureIdentity,
    EnsureRole,
    EnsureUser,
    Failure,
    LookUpChildren,
    LookUpSecrets,
    Observed,
    Patch,
    Plan,
    Prove,
)
from botfleet_operator.podtemplate import NamedList
from tests.unit.operator import samples
from tests.unit.operator.samples import (
    DIGEST,
    IDENTITY,
    OWN,
    accepted,
    bot,
    fresh_pod,
    heartbeat,
    observed,
    pod,
    provisioned,
    secret,
    secrets,
    settled,
)


def names(plan: Plan) -> list[str]:
    return [type(step).__name__ for step in plan.steps]


def verdict(plan: Plan, kind: ConditionType) -> tuple[str, Reason] | None:
    return next(((v.status, v.reason) for v in plan.verdicts if v.type is kind), None)


def test_a_name_that_was_taken_is_looked_at_before_anything_is_made() -> None:
    first = observed(looked_up=False)
    taken = {"conditions": [{"type": "Accepted", "status": "False", "reason": "NameConflict"}]}
    plan = decide(replace(first, bot=replace(first.bot, status=taken)))
    assert plan.steps == (LookUpChildren(KINDS),)


def test_what_is_not_there_is_made_only_if_nothing_has_its_name() -> None:
    whole = settled()
    for kind in KINDS:
        others = {k: c for k, c in whole.children.items() if k != kind}
        (made,) = (step for step in decide(replace(whole, children=others)).steps if isinstance(step, Apply))
        assert made.uid is None
    touched = replace(whole.children["Secret"], applied_hash="other")
    (again,) = decide(replace(whole, children={**whole.children, "Secret": touched})).steps
    assert isinstance(again, Apply)
    assert again.uid == touched.uid


def test_the_account_is_bound_before_there_is_a_deployment() -> None:
    row = decide(observed())
    assert row.steps == (EnsureIdentity(DIGEST), Bind("bot:4242", DIGEST))
    known = observed(identity=IDENTITY, own=OWN)
    assert decide(known).steps == (Bind("bot:4242", DIGEST),)
    bound = replace(known, bound=(BoundAccount("bot:4242", DIGEST, False),))
    assert decide(bound).steps == (EnsureRole(), EnsureUser())
    ready = replace(bound, role_ready=True, user_ready=True)
    assert [step.kind for step in decide(ready).steps if isinstance(step, Apply)] == list(KINDS)


def test_an_account_of_another_bot_makes_nothing_and_names_it_only_within_the_namespace() -> None:
    here = decide(observed(identity=IDENTITY, own=OWN, in_use_by=BotKey("hotel", "first")))
    there = decide(observed(identity=IDENTITY, own=OWN, in_use_by=BotKey("secret-place", "first")))
    for plan, told in ((here, " (TelegramBot first)"), (there, "")):
        assert plan.steps == ()
        assert verdict(plan, ConditionType.ACCEPTED) == ("False", Reason.ACCOUNT_IN_USE)
        assert plan.verdicts[0].values == {"other": told}


def test_what_is_as_it_should_be_is_left_alone() -> None:
    for name in ("minimal", "maximal"):
        plan = decide(settled(bot(name)))
        assert plan.steps == ()
        assert verdict(plan, ConditionType.PROVISIONED) == ("True", Reason.PROVISIONED)


def test_the_samples_have_what_the_operator_reads_of_a_child_that_it_applied() -> None:
    state, stamp = provisioned(), {ANNOTATION_ROLLED_OUT: "2026-01-01T00:00:00Z"}
    for manifest in build_all(state, accepted(state.bot)):
        metadata = manifest["metadata"]
        manifest["metadata"] = {**metadata, "annotations": {**metadata["annotations"], **stamp}}
        server = {"namespace": metadata["namespace"], "name": metadata["name"], "uid": "uid", "resourceVersion": "9"}
        sample = samples.child(manifest, state.bot)
        read = child_record(manifest["kind"], {"metadata": manifest["metadata"] | server})
        for field in ("bot", "controller_uid", "owned", "applied_hash", "rolled_out"):
            assert getattr(sample, field) == getattr(read, field), field


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_that_is_gone_or_was_touched_is_applied_and_no_other(kind: str) -> None:
    whole = settled()
    child = whole.children[kind]
    others = {k: c for k, c in whole.children.items() if k != kind}
    assert applied(replace(whole, children=others)) == [kind]
    touched = replace(child, applied_hash="other")
    assert applied(replace(whole, children={**others, kind: touched})) == [kind]
    assert child.fields is not None
    lost = {**child.fields, "f:metadata": {k: v for k, v in child.fields["f:metadata"].items() if k != "f:labels"}}
    assert applied(replace(whole, children={**others, kind: replace(child, fields=lost)})) == [kind]


def applied(state: Observed) -> list[str]:
    return [step.kind for step in decide(state).steps if isinstance(step, Apply)]


def test_a_foreign_object_is_never_adopted() -> None:
    whole = settled()
    foreign = replace(whole.children["ConfigMap"], fields=None, applied_hash=None, controller_uid=None, bot=None)
    plan = decide(replace(whole, children={**whole.children, "ConfigMap": foreign}))
    assert plan.steps == ()
    assert verdict(plan, ConditionType.ACCEPTED) == ("False", Reason.NAME_CONFLICT)
    labelled = replace(foreign, bot="concierge")
    assert decide(replace(whole, children={**whole.children, "ConfigMap": labelled})).steps == ()


def test_what_an_owner_that_is_gone_left_behind_is_made_anew() -> None:
    whole = settled()
    for owner in ("another-uid", None):
        left = replace(whole.children["Deployment"], controller_uid=owner, applied_hash="old")
        plan = decide(replace(whole, children={**whole.children, "Deployment": left}))
        assert plan.steps == (Delete(left),)
    leaving = replace(whole.children["Deployment"], controller_uid="another-uid", applied_hash="old", deleting=True)
    plan = decide(replace(whole, children={**whole.children, "Deployment": leaving}))
    assert plan.steps == ()
    assert verdict(plan, ConditionType.PROVISIONED) is None


def test_an_object_that_is_being_deleted_is_given_nothing() -> None:
    plan = decide(replace(provisioned(), bot=replace(bot(), deleting=True)))
    assert plan.steps == ()
    assert plan.phase.value == "Deleting"


def test_a_failure_is_told_and_not_repeated_in_the_same_breath() -> None:
    failed = provisioned(failures={Apply: Failure(Reason.APPLY_FAILED, {"kind": "Secret", "name": "x", "code": 500})})
    plan = decide(failed)
    assert plan.steps == ()
    assert verdict(plan, ConditionType.PROVISIONED) == ("False", Reason.APPLY_FAILED)


def test_redis_holds_nothing_up_and_the_database_does() -> None:
    without_redis = provisioned(user_ready=False, failures={EnsureUser: Failure(Reason.REDIS_UNAVAILABLE)})
    plan = decide(without_redis)
    assert names(plan) == ["Apply"] * len(KINDS)
    assert verdict(plan, ConditionType.PROVISIONED) == ("False", Reason.REDIS_UNAVAILABLE)
    without_role = provisioned(role_ready=False, failures={EnsureRole: Failure(Reason.DATABASE_UNAVAILABLE)})
    assert decide(without_role).steps == ()


def test_secrets_that_the_watch_does_not_show_are_looked_up_once() -> None:
    known = {k: v for k, v in secrets().items() if k != "openai"}
    assert decide(observed(secrets=known)).steps == (LookUpSecrets(("openai",)),)
    arriving = decide(observed(secrets={**known, "openai": Absence.ARRIVING}))
    assert arriving.steps == ()
    assert arriving.verdicts == ()
    assert arriving.retry_seconds is not None
    assert accept(bot(), {}, {**known, "openai": Absence.ARRIVING}) == Undecided(())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"openai": Absence.MISSING}, Reason.SECRET_MISSING),
        ({"openai": Absence.UNLABELLED}, Reason.SECRET_NOT_LABELLED),
        ({"openai": secret("openai", other="x")}, Reason.SECRET_KEY_MISSING),
        ({"openai": secret("openai", api_key="  ")}, Reason.SECRET_UNUSABLE),
        ({"concierge": secret("concierge", token="no token")}, Reason.SECRET_UNUSABLE),
        ({"telegram-app": secret("telegram-app", api_id="x", api_hash="y")}, Reason.SECRET_UNUSABLE),
        (
            {"openai": secret("openai", labels={"app.kubernetes.io/managed-by": "botfleet-operator"}, api_key="k")},
            Reason.SECRET_UNUSABLE,
        ),
    ],
)
def test_a_secret_that_cannot_be_used_makes_nothing(change: dict[str, Any], reason: Reason) -> None:
    plan = decide(observed(secrets={**secrets(), **change}))
    assert plan.steps == ()
    assert verdict(plan, ConditionType.ACCEPTED) == ("False", reason)
    assert verdict(plan, ConditionType.PROVISIONED) == ("False", Reason.NOT_ACCEPTED)


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (Absence.MISSING, Reason.SECRET_MISSING),
        (Absence.UNLABELLED, Reason.SECRET_NOT_LABELLED),
        (secret("second", other="x"), Reason.SECRET_KEY_MISSING),
        (secret("second", key=" "), Reason.SECRET_UNUSABLE),
        (
            secret("second", labels={"app.kubernetes.io/managed-by": "botfleet-operator"}, key="k"),
            Reason.SECRET_UNUSABLE,
        ),
    ],
)
def test_the_key_of_a_fallback_is_checked_as_the_main_models_is(second: Any, reason: Reason) -> None:
    plan = decide(observed(bot("maximal"), secrets={**secrets(), "second": second}))
    assert plan.steps == ()
    assert verdict(plan, ConditionType.ACCEPTED) == ("False", reason)
    assert plan.verdicts[0].values["used_by"] == "API key of a fallback model"


def test_another_key_of_a_fallback_is_another_digest() -> None:
    changed = accept(bot("maximal"), {}, {**secrets(), "second": secret("second", key="another")})
    assert isinstance(changed, Accepted)
    before = accepted(bot("maximal"))
    assert changed.credentials_digest != before.credentials_digest
    assert changed.credential_digest == before.credential_digest


def test_the_key_of_the_transcription_is_checked_and_another_one_is_another_digest() -> None:
    plan = decide(observed(bot("maximal"), secrets={**secrets(), "voices": Absence.MISSING}))
    assert plan.verdicts[0].values["used_by"] == "API key of the transcription model"
    changed = accept(bot("maximal"), {}, {**secrets(), "voices": secret("voices", key="another")})
    assert isinstance(changed, Accepted)
    assert changed.credentials_digest != accepted(bot("maximal")).credentials_digest


def test_a_budget_in_money_without_a_price_is_told_with_the_field() -> None:
    plan = decide(observed(bot(limits={"budget": {"moneyPerDay": 1}})))
    assert verdict(plan, ConditionType.ACCEPTED) == ("False", Reason.INCOMPLETE)
    assert plan.verdicts[0].values == {"fields": "spec.model.pricePerMillionTokens"}


def test_a_spec_without_sense_is_refused_without_its_values() -> None:
    record = bot(model={"name": "m", "apiKeySecretRef": {"name": "openai", "key": "api-key"}, "temperature": "planted"})
    plan = decide(observed(record))
    assert verdict(plan, ConditionType.ACCEPTED) == ("False", Reason.INVALID)
    assert "spec.model.temperature" in str(plan.verdicts[0].values)
    assert "planted" not in str(plan.verdicts[0].values)
    incomplete = decide(observed(bot(model={"name": "m"})))
    assert incomplete.verdicts[0].values == {"fields": "spec.model.apiKeySecretRef"}
    filled = decide(
        observed(
            bot(model={"name": "m"}), defaults={"model": {"apiKeySecretRef": {"name": "openai", "key": "api-key"}}}
        )
    )
    assert verdict(filled, ConditionType.ACCEPTED) == ("True", Reason.ACCEPTED)


def test_a_running_bot_that_is_no_longer_accepted_goes_on_but_can_be_suspended() -> None:
    missing = {**secrets(), "openai": Absence.MISSING}
    assert decide(settled(secrets=missing)).steps == ()
    suspended = settled(secrets=missing)
    suspended = replace(suspended, bot=bot(suspend=True))
    (step,) = decide(suspended).steps
    assert isinstance(step, Patch)
    assert step.operations == ({"op": "replace", "path": "/spec/replicas", "value": 0},)


def test_a_bot_can_be_suspended_although_its_deployment_has_lost_its_owner() -> None:
    whole = settled(bot(suspend=True), secrets={**secrets(), "openai": Absence.MISSING})
    child = whole.children["Deployment"]
    assert child.deployment is not None
    runs = replace(child, owned=False, controller_uid=None, deployment=replace(child.deployment, wanted=1))
    for found, wanted in ((runs, [Patch]), (replace(runs, fields=None), []), (replace(runs, owned=True), [])):
        plan = decide(replace(whole, children={**whole.children, "Deployment": found}))
        assert [type(step) for step in plan.steps] == wanted


def test_a_bot_can_be_suspended_while_a_foreign_object_has_a_name_that_it_needs() -> None:
    whole = settled()
    foreign = replace(whole.children["ServiceAccount"], fields=None, applied_hash=None, controller_uid=None, bot=None)
    plan = decide(replace(whole, bot=bot(suspend=True), children={**whole.children, "ServiceAccount": foreign}))
    (step,) = plan.steps
    assert isinstance(step, Patch)
    assert step.operations == ({"op": "replace", "path": "/spec/replicas", "value": 0},)
    assert verdict(plan, ConditionType.ACCEPTED) == ("False", Reason.NAME_CONFLICT)


def test_a_bot_can_be_suspended_while_the_database_is_away() -> None:
    whole = replace(settled(), bot=bot(suspend=True), role_ready=False)
    assert names(decide(whole)) == ["Patch", "EnsureRole"]
    away = replace(whole, failures={EnsureRole: Failure(Reason.DATABASE_UNAVAILABLE)})
    assert names(decide(away)) == ["Patch"]


def test_only_the_runner_of_this_very_credential_proves_it() -> None:
    record = bot()
    provisional = settled(record, bound=(BoundAccount("bot:4242", DIGEST, False),))
    told = replace(provisional, heartbeat=heartbeat(record), pods=(fresh_pod(record),))
    assert decide(told).steps == (Prove("bot:4242"),)
    for wrong in (
        replace(told, pods=(pod(credentials="an older one"),)),
        replace(told, pods=()),  # a word that outlived its pod may have been about another token
        replace(told, pods=(fresh_pod(record, ended=True),)),
        replace(told, pods=(fresh_pod(record, uid="pod-2"),)),
        replace(told, heartbeat=heartbeat(record, alive=False)),
    ):
        assert decide(wrong).steps == ()
    refused = replace(provisional, heartbeat=heartbeat(record, authorized=False))
    assert decide(refused).steps == ()


def test_an_account_of_before_is_let_go_although_the_operator_died_amid_the_proof() -> None:
    record = bot()
    both = (BoundAccount("bot:4242", DIGEST, True), BoundAccount("bot:1", "of before", True))
    told = replace(settled(record, bound=both), heartbeat=heartbeat(record), pods=(fresh_pod(record),))
    assert decide(told).steps == (Prove("bot:4242"),)
    assert decide(replace(told, bound=both[:1])).steps == ()


def test_a_persons_account_is_bound_by_its_id_too() -> None:
    record = bot("maximal", suspend=False)
    whole = settled(record)
    told = replace(whole, heartbeat=heartbeat(record, authorized=None, account_id=99), pods=(fresh_pod(record),))
    (step,) = decide(told).steps
    assert step == Bind("user:99", whole.bound[0].credential_digest)


def test_foreign_additions_are_taken_out_by_name_and_from_behind() -> None:
    whole = settled()
    child = whole.children["Deployment"]
    assert child.deployment is not None
    lists = []
    for part in child.deployment.lists:
        # A container before ours: every index moves, and nothing of ours may go.
        if part.pointer == "/containers":
            part = replace(part, names=("evil", *part.names))  # noqa: PLW2901
        elif part.pointer.startswith("/containers/0"):
            part = replace(part, pointer=part.pointer.replace("/0/", "/1/"))  # noqa: PLW2901
        if part.label == "containers runner env":
            part = replace(part, names=(*part.names, "EVIL"))  # noqa: PLW2901
        lists.append(part)
    lists.insert(2, NamedList("/containers/0/env", "containers evil env", "name", ("A",)))
    lists.insert(0, NamedList("/volumes", "volumes", "name", ("host",)))
    lists.append(NamedList("/containers/1/envFrom", "containers runner envFrom", "prefix", (None,)))
    changed = replace(child, deployment=replace(child.deployment, lists=tuple(lists)))
    plan = decide(replace(whole, children={**whole.children, "Deployment": changed}))
    (step,) = plan.steps
    assert isinstance(step, Patch)
    pod_spec = "/spec/template/spec"
    count = len(next(p for p in child.deployment.lists if p.label == "containers runner env").names)
    assert [op["path"] for op in step.operations if op["op"] == "remove"] == [
        f"{pod_spec}/containers/1/envFrom/0",
        f"{pod_spec}/containers/1/env/{count}",
        f"{pod_spec}/containers/0",
        f"{pod_spec}/volumes/0",
    ]
    tests = [op for op in step.operations if op["op"] == "test"]
    assert {"op": "test", "path": f"{pod_spec}/containers/0/name", "value": "evil"} in tests
    assert removals(whole.children["ConfigMap"], ()) == ()


@pytest.mark.parametrize("name", ["minimal", "maximal"])
def test_ten_decisions_about_the_same_are_the_same(name: str) -> None:
    plans = [decide(provisioned(bot(name))) for _ in range(10)]
    assert all(plan == plans[0] for plan in plans)
