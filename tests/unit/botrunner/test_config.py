"""Promises of a runner's settings and secrets: refused early, with what to give instead, and never shown."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from botfleet.manifest import ManifestError
from botrunner.config import ConfigError, default_data_dir, from_environment, read_own
from botrunner.prepare import CredentialsError, prepare, read_credentials
from botrunner.telegram.types import BotToken
from botrunner.terminal.described import rows, table
from tests.unit.core.test_spec import MINIMAL

HERE = Path("bot.yaml")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"BOTFLEET_DATABASE_URL": "postgresql://a:planted@h/d", "BOTFLEET_OWN_DIR": "/o"}, "must not hold a password"),
        ({"BOTFLEET_REDIS_URL": "redis://a:planted@h/0", "BOTFLEET_OWN_DIR": "/o"}, "must not hold a password"),
        ({"BOTFLEET_REDIS_URL": "redis://a@h/7", "BOTFLEET_OWN_DIR": "/o"}, "BOTFLEET_REDIS_URL must end in /0"),
        ({"BOTFLEET_DATABASE_URL": "postgresql://a@h/d"}, "needs BOTFLEET_OWN_DIR"),
        ({"BOTFLEET_REDIS_URL": "redis://a@h/0"}, "needs BOTFLEET_OWN_DIR"),
        ({"BOTFLEET_LEASE_TERM_SECONDS": "soon"}, "number of seconds"),
        ({"BOTFLEET_LEASE_TERM_SECONDS": "0"}, "between 0.5 and 300"),
        ({"BOTFLEET_CLEAN_UP_SECONDS": "0"}, "between 1 and 86400"),
        ({"BOTFLEET_LOG_FORMAT": "xml"}, "console, json"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(environment: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        from_environment(HERE, environment)
    assert "planted" not in str(refused.value)


def test_without_a_database_the_bot_is_alone_and_keeps_its_data_at_home() -> None:
    settings = from_environment(HERE, {})
    assert settings.standalone
    assert default_data_dir("ns", "b", {"HOME": "/home/x"}) == Path("/home/x/.local/share/botfleet/ns-b")
    assert default_data_dir("ns", "b", {"XDG_DATA_HOME": "/d"}) == Path("/d/botfleet/ns-b")


def test_two_runners_of_one_database_never_have_the_same_holder_by_default() -> None:
    shared = {"BOTFLEET_DATABASE_URL": "postgresql://a@h/d", "BOTFLEET_OWN_DIR": "/o"}
    assert from_environment(HERE, shared).holder != from_environment(HERE, shared).holder
    assert from_environment(HERE, {**shared, "BOTFLEET_HOLDER": "pod-1"}).holder == "pod-1"


def test_a_bot_that_runs_alone_is_always_the_same_holder_and_takes_over_from_its_killed_self() -> None:
    assert from_environment(HERE, {}).holder == from_environment(HERE, {"BOTFLEET_HOLDER": "pod-1"}).holder == "alone"


@pytest.mark.parametrize("address", ["8080", ":8080", "localhost:", "localhost:http", "localhost:65536", "localhost:٣"])
def test_a_health_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="BOTFLEET_HEALTH_ADDRESS"):
        from_environment(HERE, {"BOTFLEET_HEALTH_ADDRESS": address})


def test_an_own_credential_that_is_not_there_is_named(tmp_path: Path) -> None:
    settings = from_environment(HERE, {"BOTFLEET_OWN_DIR": str(tmp_path)})
    with pytest.raises(ConfigError, match="session-key"):
        read_own(settings, "session-key")
    (tmp_path / "session-key").write_text("abc\n")
    assert read_own(settings, "session-key") == "abc"


def secrets(folder: Path, **changes: str) -> Path:
    values = {
        "telegram-app/api-id": "12",
        "telegram-app/api-hash": "h",
        "concierge/token": "5:AAplanted",
        "openai/api-key": "sk",
    }
    for path, value in {**values, **changes}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(value + "\n")
    return folder


def manifest(folder: Path) -> Path:
    path = folder / "bot.yaml"
    path.write_text(yaml.safe_dump(MINIMAL))
    return path


def test_credentials_are_read_from_the_mounted_folder(tmp_path: Path) -> None:
    prepared = prepare(from_environment(manifest(tmp_path), {}, secrets_dir=secrets(tmp_path / "s")))
    credentials = read_credentials(prepared)
    assert credentials.account.credential == BotToken("5:AAplanted")
    assert (credentials.account.api.api_id, credentials.account.api.api_hash) == (12, "h")
    assert (credentials.model_key, credentials.account.server) == ("sk", None)
    assert "planted" not in repr(credentials)


def test_a_transcription_has_the_main_models_key_unless_it_has_its_own(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    document = yaml.safe_load(path.read_text())
    folder = secrets(tmp_path / "s", **{"voices/k": "planted-v"})
    settings = from_environment(path, {}, secrets_dir=folder)
    assert read_credentials(prepare(settings)).transcription_key is None
    for voices, key in (({}, "sk"), ({"apiKeySecretRef": {"name": "voices", "key": "k"}}, "planted-v")):
        document["spec"]["model"]["transcription"] = {"name": "whisper-1", **voices}
        path.write_text(yaml.safe_dump(document))
        credentials = read_credentials(prepare(settings))
        assert credentials.transcription_key == key
        assert "planted" not in repr(credentials)


def test_each_fallback_has_its_key_in_the_order_of_the_chain(tmp_path: Path) -> None:
    path = manifest(tmp_path)
    document = yaml.safe_load(path.read_text())
    keys = [{"name": "second", "key": "a"}, {"name": "second", "key": "b"}]
    document["spec"]["model"]["fallbacks"] = [
        {"name": "f", "apiKeySecretRef": keys[0]},
        {"name": "g"},
        {"name": "h", "apiKeySecretRef": keys[1]},
    ]
    path.write_text(yaml.safe_dump(document))
    folder = secrets(tmp_path / "s", **{"second/a": "planted-a", "second/b": "planted-b"})
    credentials = read_credentials(prepare(from_environment(path, {}, secrets_dir=folder)))
    assert (credentials.model_key, *credentials.fallback_keys) == ("sk", "planted-a", "sk", "planted-b")
    assert "planted" not in repr(credentials)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"concierge/token": "planted"}, "BotFather"),
        ({"telegram-app/api-id": "planted"}, "api-id must be a number"),
    ],
)
def test_a_secret_that_cannot_be_what_it_should_be_is_named_and_not_shown(
    tmp_path: Path, changes: dict[str, str], told: str
) -> None:
    prepared = prepare(from_environment(manifest(tmp_path), {}, secrets_dir=secrets(tmp_path / "s", **changes)))
    with pytest.raises(CredentialsError, match=told) as refused:
        read_credentials(prepared)
    assert "planted" not in str(refused.value)


def test_a_missing_secret_is_named(tmp_path: Path) -> None:
    prepared = prepare(from_environment(manifest(tmp_path), {}, secrets_dir=tmp_path))
    with pytest.raises(CredentialsError, match="Secret telegram-app"):
        read_credentials(prepared)


def test_defaults_of_the_environment_fill_the_manifest_of_a_bot_that_runs_alone(tmp_path: Path) -> None:
    defaults = (
        "{account: {dataCenter: {id: 2, address: localhost, port: 8443}}, model: {baseUrl: 'http://localhost/v1'}}"
    )
    settings = from_environment(
        manifest(tmp_path), {"BOTFLEET_BOT_DEFAULTS": defaults}, secrets_dir=secrets(tmp_path / "s")
    )
    prepared = prepare(settings)
    assert prepared.spec.model.base_url == "http://localhost/v1"
    server = read_credentials(prepared).account.server
    assert server is not None
    assert (server.dc_id, server.address, server.port) == (2, "localhost", 8443)
    for wrong in ("[", "[1]"):
        with pytest.raises(ConfigError, match="BOTFLEET_BOT_DEFAULTS"):
            prepare(from_environment(manifest(tmp_path), {"BOTFLEET_BOT_DEFAULTS": wrong}))


def with_source(folder: Path, kind: str, *more: dict[str, Any]) -> Path:
    """A bot whose prompt lies elsewhere, with further documents in its file."""
    source = {kind: {"name": "house", "key": "prompt"}}
    document = {**MINIMAL, "spec": {**MINIMAL["spec"], "persona": {"promptFrom": source}}}
    path = folder / "bot.yaml"
    path.write_text(yaml.safe_dump_all([document, *more]))
    return path


def prompt_map(text: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "house"}, "data": {"prompt": text}}


def test_alone_a_prompt_is_read_from_a_configmap_of_the_files_or_from_a_secret(tmp_path: Path) -> None:
    folder = secrets(tmp_path / "s", **{"house/prompt": "planted: you are Bo."})
    path = with_source(tmp_path, "configMapKeyRef", prompt_map("You are Ada."))
    assert prepare(from_environment(path, {}, secrets_dir=folder)).spec.persona.prompt == "You are Ada."
    prepared = prepare(from_environment(with_source(tmp_path, "secretKeyRef"), {}, secrets_dir=folder))
    assert prepared.spec.persona.prompt == "planted: you are Bo."
    assert "planted" not in table(rows(prepared))


def test_a_prompt_that_is_not_there_or_cannot_be_one_is_told_with_what_to_write(tmp_path: Path) -> None:
    def told(kind: str, *more: dict[str, Any]) -> str:
        path = with_source(tmp_path, kind, *more)
        with pytest.raises(ConfigError) as refused:
            prepare(from_environment(path, {}, secrets_dir=secrets(tmp_path / "s")))
        return str(refused.value)

    assert "ConfigMap house, key prompt: is not there; add the ConfigMap to the files" in told("configMapKeyRef")
    assert "ConfigMap house, key prompt: it is empty" in told("configMapKeyRef", prompt_map(" "))
    too_long = told("configMapKeyRef", prompt_map("planted" * 9400))
    assert "65536 at most" in too_long
    assert "planted" not in too_long
    assert "Secret house (key prompt) is nowhere to be found; add the Secret" in told("secretKeyRef")


def test_a_configmap_of_the_files_holds_texts(tmp_path: Path) -> None:
    path = with_source(tmp_path, "configMapKeyRef", {**prompt_map("x"), "data": {"prompt": 5}})
    with pytest.raises(ManifestError, match=r"ConfigMap data.prompt must be text; put it in quotes"):
        prepare(from_environment(path, {}))


def test_alone_a_namespaces_defaults_in_the_files_go_before_those_of_the_environment(tmp_path: Path) -> None:
    defaults = tmp_path / "defaults.yaml"
    spec = {"model": {"baseUrl": "http://near.invalid/v1"}}
    head = {"apiVersion": "botfleet.dev/v1alpha1", "kind": "TelegramBotDefaults", "metadata": {"name": "default"}}
    defaults.write_text(yaml.safe_dump({**head, "spec": spec}))
    environment = {"BOTFLEET_BOT_DEFAULTS": "{model: {baseUrl: 'http://far.invalid/v1', timeoutSeconds: 7}}"}
    model = prepare(from_environment(manifest(tmp_path), environment, beside=(defaults,))).spec.model
    assert (model.base_url, model.timeout_seconds) == ("http://near.invalid/v1", 7)
