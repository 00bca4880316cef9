"""Promises of the limits on images and model endpoints, as the operator holds them on the effective spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from botfleet.conditions import ConditionType, Reason
from botfleet.effective import effective
from botfleet.spec import TelegramBotSpec
from botfleet_operator.allowlist import ANYTHING, Allowlist, allowlist
from botfleet_operator.decide import decide
from botfleet_operator.placement import Placement
from botfleet_operator.plan import Observed, Patch
from tests.support.allowlist_cases import DIGEST, ENDPOINTS, IMAGES, RUNNER
from tests.unit.operator.samples import bot, observed, settled

KEY = {"name": "openai", "key": "api-key"}


def listed(
    *,
    images: str = "",
    endpoints: str = "",
    defaults: dict[str, Any] | None = None,
    runner_image: str = f"{RUNNER}:0.1.0",
) -> Allowlist:
    return allowlist(
        tuple(filter(None, [images])),
        tuple(filter(None, [endpoints])),
        Placement(),
        runner_image=runner_image,
        defaults=defaults or {},
    )


def excesses(allowed: Allowlist, defaults: dict[str, Any] | None = None, **spec: Any) -> list[str]:
    # Built by hand: the CRD refuses some of these URLs already.
    whole = effective(TelegramBotSpec.model_validate({**bot().spec, **spec}), defaults or {})
    return [excess.field for excess in allowed.excesses(whole)]


@pytest.mark.parametrize(("entry", "image", "allowed"), IMAGES)
def test_an_image_is_allowed_as_listed_and_by_no_trick(entry: str, image: str, allowed: bool) -> None:
    whole = effective(TelegramBotSpec.model_validate(bot().spec))
    asked = replace(whole, workload=whole.workload.model_copy(update={"image": image}))
    assert bool(list(listed(images=entry).excesses(asked))) is not allowed


@pytest.mark.parametrize("named", ["", ":0.1.0", f"@{DIGEST}", f":0.1.0@{DIGEST}"])
def test_the_installations_own_repository_is_allowed_however_its_image_is_named(named: str) -> None:
    own = listed(runner_image=f"registry.example:5000/runner{named}")
    for image in (f"registry.example:5000/runner{named}", f"registry.example:5000/runner:2@{DIGEST}"):
        assert excesses(own, workload={"image": image}) == []
    as_default = {"workload": {"image": f"registry.example:5000/fork{named}"}}
    assert excesses(listed(defaults=as_default), as_default) == []


@pytest.mark.parametrize(("entry", "url", "allowed"), ENDPOINTS)
def test_a_model_endpoint_is_allowed_as_listed_and_by_no_trick(entry: str, url: str, allowed: bool) -> None:
    whole = effective(TelegramBotSpec.model_validate(bot().spec))
    asked = replace(whole, model=replace(whole.model, base_url=url))
    assert bool(list(listed(endpoints=entry).excesses(asked))) is not allowed


def test_fallbacks_and_transcription_are_held_to_the_same_list() -> None:
    elsewhere = {"name": "m", "baseUrl": "https://evil.example/v1", "apiKeySecretRef": KEY}
    same = {"name": "m"}
    model = {"name": "m", "apiKeySecretRef": KEY, "fallbacks": [same, elsewhere], "transcription": elsewhere}
    assert excesses(listed(), model=model) == ["spec.model.fallbacks[1].baseUrl", "spec.model.transcription.baseUrl"]
    assert excesses(ANYTHING, model=model) == []


def test_what_the_installations_own_defaults_name_is_allowed_and_openai_then_only_if_listed() -> None:
    defaults = {"model": {"baseUrl": "http://Models.svc:80/v1"}, "workload": {"image": "registry.example/fork:2"}}
    own = listed(defaults=defaults)
    assert excesses(own, defaults) == []
    said = {"name": "m", "baseUrl": "https://api.openai.com/v1", "apiKeySecretRef": KEY}
    assert excesses(own, defaults, model=said) == ["spec.model.baseUrl"]
    both = listed(defaults=defaults, endpoints="api.openai.com")
    assert excesses(both, defaults, model=said) == []


def test_a_default_that_is_not_allowed_is_refused_although_no_object_says_it() -> None:
    """Which is why the API server's policy is not enough."""
    assert excesses(listed(endpoints="models.example")) == ["spec.model.baseUrl"]


def refused(state: Observed) -> Observed:
    return replace(state, allowed=listed(endpoints="models.example"))


def test_a_spec_beyond_the_limits_is_not_accepted_and_nothing_is_made_or_changed() -> None:
    for state in (observed(), settled()):
        plan = decide(refused(state))
        assert plan.steps == ()
        (told,) = [v for v in plan.verdicts if v.type is ConditionType.ACCEPTED]
        assert (told.status, told.reason) == ("False", Reason.NOT_ALLOWED)
        assert told.values["field"] == "spec.model.baseUrl"
        assert told.values["value"] == "https://api.openai.com/v1"
        assert told.values["chart_value"] == "bots.allowedModelEndpoints"
        assert "https://models.example" in str(told.values["allowed"])


def test_a_bot_beyond_the_limits_can_be_suspended() -> None:
    stopped = replace(settled(), bot=bot(suspend=True))
    assert [type(step) for step in decide(refused(stopped)).steps] == [Patch]
