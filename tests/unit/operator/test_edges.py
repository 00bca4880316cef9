"""Settings, records made at the edge, probes, background tasks, the installation's key, and the generated Secrets."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kopf
import pytest
from aiohttp import ClientSession

from botfleet.conditions import Reason
from botfleet.keys import fingerprint
from botfleet.store.bots import BotRepository
from botfleet.store.engine import create_store
from botfleet.store.errors import StoreError, StoreUnavailable
from botfleet.store.schema import create_all_sqlite
from botfleet_operator import logs, patience
from botfleet_operator.app import without_user
from botfleet_operator.bootstrap import BootstrapError, manifest, run, users_acl, wanted
from botfleet_operator.installation import StartError, decode_key, is_still_there, read_key, recognise
from botfleet_operator.kubeapi import ForbiddenError, ServerSideError, UnreachableError
from botfleet_operator.main import configure
from botfleet_operator.metrics import Metrics
from botfleet_operator.model import bot_record, child_record, pod_record
from botfleet_operator.provision.bus import BusUnavailableError, Users, is_asserted, password_hash
from botfleet_operator.rollout import Limits
from botfleet_operator.settings import Settings, SettingsError, from_environment
from botfleet_operator.tasks import Background
from botfleet_operator.web import ProbeServer
from tests.unit.operator.rig import Rig

ENVIRONMENT = {
    "BOTFLEET_DATABASE_URL": "postgresql://operator@db/botfleet",
    "BOTFLEET_DATABASE_PASSWORD_FILE": "/run/db",
    "BOTFLEET_REDIS_URL": "redis://operator@redis/0",
    "BOTFLEET_REDIS_PASSWORD_FILE": "/run/redis",
    "BOTFLEET_INSTALLATION_KEY_FILE": "/run/key",
    "BOTFLEET_RUNNER_IMAGE": "runner:1",
}


def test_settings_come_from_the_environment_and_have_words_for_what_is_wrong() -> None:
    lists = {"BOTFLEET_ALLOWED_IMAGES": "a.example/", "BOTFLEET_ALLOWED_MODEL_ENDPOINTS": "b.example,http://c.svc:1/v1"}
    places = {"BOTFLEET_ALLOWED_TOLERATIONS": "spot,dedicated=bots", "BOTFLEET_ALLOWED_AFFINITIES": "podAntiAffinity"}
    more = {
        **lists,
        **places,
        "BOTFLEET_NAMESPACES": "a, b,",
        "BOTFLEET_BOT_DEFAULTS": "model: {name: m}",
        "BOTFLEET_POD_UID": "pod",
    }
    settings = from_environment({**ENVIRONMENT, **more, "OTHER": "x"})
    assert settings.namespaces == ("a", "b")
    assert settings.bot_defaults == {"model": {"name": "m"}}
    assert settings.identity == "pod"
    assert settings.allowed_images == ("a.example/",)
    assert settings.allowed_model_endpoints == ("b.example", "http://c.svc:1/v1")
    assert settings.placement.lists["tolerations"] == ("spot", "dedicated=bots")
    assert settings.placement.lists["affinity"] == ("podAntiAffinity",)
    assert settings.placement.lists["runtimeClassName"] == ()
    assert from_environment(ENVIRONMENT).identity != from_environment(ENVIRONMENT).identity
    assert settings.rollout_limits == Limits("10%", timedelta(seconds=30), timedelta(seconds=300))
    for wrong in ("0", "0%", "101%", "ten", "-1", "1.5"):
        with pytest.raises(SettingsError, match="BOTFLEET_ROLLOUT_WAVE_SIZE"):
            from_environment({**ENVIRONMENT, "BOTFLEET_ROLLOUT_WAVE_SIZE": wrong})
    missing = {k: v for k, v in ENVIRONMENT.items() if k != "BOTFLEET_RUNNER_IMAGE"}
    with pytest.raises(SettingsError, match="BOTFLEET_RUNNER_IMAGE"):
        from_environment(missing)
    for variable in ("BOTFLEET_REDIS_URL", "BOTFLEET_RUNNER_REDIS_URL"):
        with pytest.raises(SettingsError, match=f"{variable}: .*bots use database 0 of Redis"):
            from_environment({**ENVIRONMENT, variable: "redis://redis/7"})
    with pytest.raises(SettingsError, match="BOTFLEET_WORKERS"):
        from_environment({**ENVIRONMENT, "BOTFLEET_WORKERS": "none"})
    for wrong in ("{model: x}", "{model: {nme: x}}", "{conversation: {debounceSeconds: soon}}", "[1]"):
        with pytest.raises(SettingsError, match="BOTFLEET_BOT_DEFAULTS"):
            from_environment({**ENVIRONMENT, "BOTFLEET_BOT_DEFAULTS": wrong})
    with pytest.raises(SettingsError, match="no YAML"):
        from_environment({**ENVIRONMENT, "BOTFLEET_BOT_DEFAULTS": "{"})


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_a_bot_and_a_child_are_read_from_what_the_api_sends() -> None:
    metadata = {
        "namespace": "ns",
        "name": "a",
        "uid": "u",
        "resourceVersion": "5",
        "generation": 2,
        "deletionTimestamp": "x",
    }
    bot = bot_record({"metadata": metadata})
    assert (bot.key, bot.deleting, bot.spec, bot.status) == (("ns", "a"), True, {}, {})
    template = {"spec": {"containers": [{"name": "runner"}]}}
    body = {
        "metadata": {"namespace": "ns", "name": "a", "uid": "u", "resourceVersion": "5"},
        "spec": {"template": template},
    }
    child = child_record("Deployment", body)
    assert child.deployment is not None
    assert (child.deployment.wanted, child.deployment.replicas, child.controller_uid) == (1, 0, None)


@pytest.mark.parametrize(
    ("status", "trouble", "running", "ended"),
    [
        ({}, None, False, False),
        ({"containerStatuses": [{"state": {"running": {}}}]}, None, True, False),
        ({"containerStatuses": [{"state": {"terminated": {"exitCode": 1}}}]}, None, False, True),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}, Reason.CRASH_LOOPING, False, True),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, Reason.IMAGE_PULL_FAILED, False, False),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, None, False, False),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}, Reason.UNSCHEDULABLE, False, False),
    ],
)  # fmt: skip
def test_what_keeps_a_pod_from_running_is_read_from_its_status(
    status: dict[str, Any], trouble: Reason | None, running: bool, ended: bool
) -> None:
    labels = {"botfleet.dev/bot": "b"}
    metadata = {"namespace": "ns", "name": "p", "uid": "u", "resourceVersion": "5", "labels": labels}
    pod = pod_record({"metadata": metadata, "status": status})
    assert (pod.bot, pod.trouble, pod.running, pod.ended) == ("b", trouble, running, ended)


async def test_probes_answer_from_the_first_second_and_name_what_has_ended() -> None:
    wrong: list[str] = []
    server = ProbeServer("127.0.0.1:0", Metrics(), live=lambda: wrong[0] if wrong else None, ready=lambda: None)
    port = await server.start()
    async with ClientSession() as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                return response.status, await response.text()

        assert await get("/livez") == (200, "ok")
        wrong.append("ended: worker 3")
        assert await get("/livez") == (503, "ended: worker 3")
        assert (await get("/readyz"))[0] == 200
        status, text = await get("/metrics")
        assert status == 200
        assert "botfleet_operator_leader 0.0" in text
    await server.stop()
    await server.stop()


def test_metrics_count_every_phase_also_those_without_bots() -> None:
    metrics = Metrics()
    metrics.count_phases(["Running", "Running", "Failed"])
    metrics.saw_request("get", "secrets", 200)
    text = metrics.text().decode()
    assert 'botfleet_operator_bots{phase="Running"} 2.0' in text
    assert 'botfleet_operator_bots{phase="Pending"} 0.0' in text
    assert 'botfleet_operator_api_requests_total{resource="secrets",status="200",verb="get"} 1.0' in text


async def test_bots_are_counted_by_phase_and_condition_until_they_are_gone(rig: Rig) -> None:
    def counted() -> dict[tuple[str, str], float]:
        rig.metrics.count_conditions(rig.reconciler.conditions.values())
        (family,) = rig.metrics.conditions.collect()
        return {(s.labels["condition"], s.labels["status"]): s.value for s in family.samples}

    rig.show()
    await rig.reconcile()
    assert {pair for pair, count in counted().items() if count} == {
        ("Accepted", "True"), ("Provisioned", "True"), ("Authorized", "Unknown"), ("Ready", "False"), ("Receiving", "False"),
        ("ModelAvailable", "Unknown"), ("Unrestricted", "Unknown"), ("WithinBudget", "Unknown"), ("UpToDate", "True"),
    }  # fmt: skip
    assert set(rig.reconciler.phases.values()) == {"Starting"}
    rig.hide()
    await rig.reconcile()
    assert set(counted().values()) == {0}
    assert rig.reconciler.phases == {}
    (family,) = rig.metrics.reconcile_seconds.collect()
    results = {s.labels["result"]: s.value for s in family.samples if s.name.endswith("_count")}
    assert results == {"ok": 1, "removed": 1}


async def test_a_background_task_that_dies_is_noticed_and_one_that_is_stopped_is_not() -> None:
    background = Background()

    async def fail() -> None:
        raise RuntimeError("boom")

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)

    background.start("stubborn", stubborn())
    background.start("failing", fail())
    async with asyncio.timeout(20):
        await background.died.wait()
    assert background.dead == ["failing"]
    await asyncio.sleep(0)
    await background.stop(0.01)
    await background.stop(20)
    assert background.dead == ["failing"]


def test_only_a_whole_key_is_a_key(tmp_path: Path) -> None:
    key = bytes(range(32))
    text = base64.urlsafe_b64encode(key).decode()
    assert decode_key(text) == decode_key(text.rstrip("=") + "\n") == key
    for nonsense in ("", "short", "?" * 43, text[:-4]):
        with pytest.raises(StartError, match="do not make a new one"):
            decode_key(nonsense)
    with pytest.raises(StartError, match="restore"):
        read_key(tmp_path / "absent")
    (tmp_path / "key").write_text(text)
    assert read_key(tmp_path / "key") == key


class Cluster:
    """An API server of which only the namespace kube-system matters."""

    def __init__(self, uid: str | None) -> None:
        self.uid = uid

    async def get(self, *_: Any, **__: Any) -> Any:
        if self.uid is None:
            raise ForbiddenError("no", status=403)
        return {"metadata": {"uid": self.uid}}


async def test_key_and_cluster_are_remembered_and_another_key_is_refused(tmp_path: Path) -> None:
    store = create_store(f"sqlite:///{tmp_path / 'store.db'}")
    try:
        await create_all_sqlite(store)
        home, abroad, unknown = Cluster("one"), Cluster("two"), Cluster(None)
        first = await recognise(store, home, b"k" * 32)  # type: ignore[arg-type]
        assert first.cluster_uid == "one"
        assert [await is_still_there(c, first) for c in (home, abroad, unknown)] == [True, False, False]  # type: ignore[arg-type]
        assert "kkkk" not in repr(first)
        again = [await recognise(store, cluster, b"k" * 32) for cluster in (home, abroad, unknown)]  # type: ignore[arg-type]
        assert [one.cluster_uid for one in again] == ["one", None, None]
        assert await is_still_there(unknown, again[2])  # type: ignore[arg-type]
        with pytest.raises(StartError, match="not the installation key"):
            await recognise(store, home, b"x" * 32)  # type: ignore[arg-type]
        row = await BotRepository(store).installation()
        assert row.key_fingerprint == fingerprint(b"k" * 32)
    finally:
        await store.close()


async def test_an_answer_that_does_not_come_at_the_start_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botfleet_operator.installation._ASK_AGAIN_SECONDS", 0)
    home, failures = Cluster("one"), [ServerSideError("etcd", status=500), UnreachableError("time-out")]
    answer = home.get

    async def at_last(*words: Any, **named: Any) -> Any:
        if failures:
            raise failures.pop()
        return await answer(*words, **named)

    home.get = at_last
    store = create_store(f"sqlite:///{tmp_path / 'store.db'}")
    try:
        await create_all_sqlite(store)
        assert (await recognise(store, home, b"k" * 32, deadline_seconds=60)).cluster_uid  # type: ignore[arg-type]
        failures = [ServerSideError("etcd", status=500)]
        with pytest.raises(StartError, match="which cluster"):
            await recognise(store, home, b"k" * 32, deadline_seconds=-1)  # type: ignore[arg-type]
    finally:
        await store.close()


async def test_bots_of_an_unknown_key_stop_the_operator(tmp_path: Path) -> None:
    store = create_store(f"sqlite:///{tmp_path / 'store.db'}")
    try:
        await create_all_sqlite(store)
        await BotRepository(store).create("ns", "a", "uid", "00000000")
        with pytest.raises(StartError, match="remembers no installation key"):
            await recognise(store, Cluster("one"), b"k" * 32)  # type: ignore[arg-type]
    finally:
        await store.close()


def test_only_the_wanted_secrets_are_made_each_with_fresh_values() -> None:
    environment = {"BOTFLEET_BOOTSTRAP_INSTALLATION_KEY_SECRET": "k", "BOTFLEET_BOOTSTRAP_POSTGRES_SECRET": ""}
    (first,), (second,) = wanted(environment), wanted(environment)
    assert first.values != second.values
    assert first.values["installation-key"] not in repr(first)
    made: Any = manifest(first, "ns", {"a": "b"})
    assert made["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert "ownerReferences" not in made["metadata"]


async def test_the_bootstrap_job_needs_its_namespace() -> None:
    with pytest.raises(BootstrapError, match="BOTFLEET_OWN_NAMESPACE"):
        await run({})


def test_redis_starts_with_nobody_but_an_operator_that_has_no_keys() -> None:
    first, second = users_acl("op", "secret").splitlines()
    assert first == "user default off"
    assert second.startswith(f"user op on #{password_hash('secret')} resetchannels -@all +acl|setuser ")
    assert "~" not in second
    assert "client|setinfo" not in second  # Redis 7.0 would not start


async def test_names_of_others_are_never_touched_and_errors_hold_no_arguments() -> None:
    users = Users("redis://op@127.0.0.1:9/0", "planted", "0a1b2c3d", timeout_seconds=0.5)
    for name in ("default", "bf_99999999_x"):
        with pytest.raises(BusUnavailableError, match="none of this installation"):
            await users.remove(name)
    with pytest.raises(BusUnavailableError) as away:
        await users.ensure("bf_0a1b2c3d_x", "b", "planted")
    assert "planted" not in str(away.value)
    await users.close()
    assert not is_asserted("", "p")
    assert not is_asserted(f"off #{password_hash('p')}", "p")
    assert is_asserted(f"on sanitize-payload #{password_hash('p')} -@all", "p")


def test_a_url_for_bots_has_neither_user_nor_password() -> None:
    assert without_user("postgresql://me@h:1/d?sslmode=require") == "postgresql://h:1/d?sslmode=require"
    assert without_user("redis://h:1/0") == "redis://h:1/0"


def test_logs_are_json_in_a_container_and_libraries_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    import json
    import logging

    import structlog

    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        logs.configure("json", "info")
        structlog.get_logger("botfleet.test").info("an_event", bot="b")
        logging.getLogger("kopf.objects").info("noise")
        logs.configure("console", "info")
        (line,) = capsys.readouterr().err.splitlines()
        said = json.loads(line)
        assert (said["event"], said["bot"], said["level"]) == ("an_event", "b", "info")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


async def test_roles_are_postgresqls_alone(tmp_path: Path) -> None:
    from botfleet_operator.provision.database import Roles

    store = create_store(f"sqlite:///{tmp_path / 'store.db'}")
    roles = Roles(store, "0a1b2c3d", lease_term_seconds=15)
    with pytest.raises(StoreError):
        await roles.present()
    with pytest.raises(StoreError, match="none of this installation"):
        await roles.remove("postgres")
    await store.close()


async def test_no_watch_of_kopf_can_stall_unseen_and_kopf_writes_nothing() -> None:
    app: Any = SimpleNamespace(settings=from_environment(ENVIRONMENT))
    settings = kopf.OperatorSettings()
    configure(settings, app)
    watching = settings.watching
    assert watching.inactivity_timeout == app.settings.watch_idle_seconds
    assert watching.server_timeout is not None
    assert watching.client_timeout is not None
    assert watching.server_timeout < watching.client_timeout
    assert watching.connect_timeout == app.settings.api_timeout_seconds
    assert not settings.posting.enabled
    assert settings.peering.standalone


async def test_what_is_away_for_a_moment_at_the_start_is_asked_again_and_a_refusal_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "_ASK_AGAIN_SECONDS", 0.0)
    answers: list[Any] = [StoreUnavailable("away"), UnreachableError("away"), "there"]

    async def ask() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    assert await patience.patiently(ask, "it", 60) == "there"
    answers[:] = [StoreUnavailable("away")]
    with pytest.raises(StartError, match="it: no answer"):
        await patience.patiently(ask, "it", -1)
    answers[:] = [StartError("another key")]
    with pytest.raises(StartError, match="another key"):
        await patience.patiently(ask, "it", 60)
