"""Promises of `botrunner check`: all that is wrong, at once, with what to write; nothing is sent and no secret is shown."""

import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml
from typer.testing import CliRunner, Result

from botrunner.main import cli
from tests.unit.botrunner.terminal.test_plausible import TOKEN, made
from tests.unit.core.test_spec import bot

GOOD = {
    "telegram-app/api-id": "12345",
    "telegram-app/api-hash": "0123456789abcdef" * 2,
    "concierge/token": TOKEN,
    "openai/api-key": "sk-planted",
}


class Desk:
    """A manifest and a folder of secrets, looked at by the command."""

    def __init__(self, folder: Path) -> None:
        self.manifest, self.secrets = folder / "bot.yaml", folder / "secrets"

    def put(self, **values: str | None) -> None:
        for name, value in {**GOOD, **values}.items():
            path = self.secrets / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if value is not None:
                path.touch(0o600)
                path.write_text(value)

    def write(self, *documents: Any) -> None:
        self.manifest.write_text(yaml.safe_dump_all(documents))

    def check(self, *more: str, secrets: bool = True) -> Result:
        folder = ["--secrets", str(self.secrets)] if secrets else []
        return CliRunner().invoke(cli, ["check", "-f", str(self.manifest), *folder, *more])

    def told(self, *more: str, secrets: bool = True) -> list[str]:
        """The mistakes, without the file's name."""
        result = self.check(*more, secrets=secrets)
        assert result.exit_code == 2, result.output
        lines = [line.removeprefix("error").strip() for line in result.output.splitlines() if line.startswith("error")]
        return [line.removeprefix(str(self.manifest)).lstrip(":, ") for line in lines]


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    for name in ("BOTFLEET_BOT_DEFAULTS", "BOTFLEET_SECRETS_DIR", "BOTFLEET_DATABASE_URL", "BOTFLEET_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    desk = Desk(tmp_path)
    desk.put()
    desk.write(bot())
    return desk


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever opens a socket or looks up a name fails, so that a check which did would be no pass."""

    def forbidden(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a check uses no network")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname", "socketpair"):
        monkeypatch.setattr(socket, name, forbidden)


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder into which everybody may look."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_good_bot_is_shown_as_it_will_be_without_any_network(desk: Desk) -> None:
    result = desk.check()
    assert result.exit_code == 0, result.output
    for words in (
        "good",
        "default/concierge",
        "Bot, by a token",
        "gpt-5-mini at https://api.openai.com/v1",
        "400 tokens",
    ):
        assert words in result.output
    assert "warning" not in result.output


def test_a_session_is_checked_without_any_network(desk: Desk) -> None:
    account = {
        "type": "User",
        "apiCredentialsSecretRef": {"name": "telegram-app"},
        "sessionSecretRef": {"name": "me", "key": "session"},
        "dataCenter": {"id": 2, "address": "telegram.example"},
    }
    desk.write(bot(spec__account=account))
    desk.put(**{"me/session": made()})
    result = desk.check()
    assert result.exit_code == 0, result.output
    assert "User, by a stored session" in result.output
    desk.put(**{"me/session": made()[:180]})
    assert desk.told() == [
        "concierge: spec.account.sessionSecretRef: Secret me, key session: is cut off: it has 180 characters, and a session"
        " has 353; copy all of it"
    ]


def test_all_that_is_wrong_is_told_at_once_each_with_its_field_and_what_to_write(desk: Desk) -> None:
    desk.write(
        bot(spec__persona={"promt": "x"}, spec__conversation={"debounce": 3}, spec__model__baseUrl="https://h/v1?x=1"),
        {**bot(), "apiVersion": "botfleet.dev/v1beta1", "metadata": {"name": "newer"}},
        bot(metadata__name="other", spec__model__temperature=9, spec__suspend="perhaps"),
    )
    desk.put(**{"concierge/token": made(), "openai/api-key": None, "telegram-app/api-id": "twelve"})
    told = desk.told()
    for wanted in (
        "document 1: spec.persona.promt: unknown field; did you mean spec.persona.prompt?",
        "document 1: spec.conversation.debounce: unknown field; did you mean spec.conversation.debounceSeconds?",
        "document 2: apiVersion: botfleet.dev/v1beta1 is of a newer Botfleet than this program",
        "document 3: spec.model.temperature: temperature must lie between 0 and 2",
        "document 3: spec.suspend: must be true or false",
        "concierge: spec.persona.prompt: is not said, and no default says it; write who the bot is",
        "concierge: spec.account.apiCredentialsSecretRef: Secret telegram-app, key api-id: must be a number",
        "concierge: spec.account.botTokenSecretRef: Secret concierge, key token: is a session",
        f"concierge: spec.model.apiKeySecretRef: Secret openai, key api-key: is not there; write it into {desk.secrets}/openai/api-key",
    ):
        assert [line for line in told if line.startswith(wanted)], (wanted, told)
    assert len(told) == 9


def test_fallbacks_are_checked_and_shown_like_the_main_model(desk: Desk) -> None:
    keys = [{"name": "second", "key": name} for name in ("good", "bad")]
    fallbacks = [
        {"name": "local", "baseUrl": "http://models.example/v1", "apiKeySecretRef": keys[0]},
        {"name": "other", "baseUrl": "https://other.example/v1?x=1", "apiKeySecretRef": keys[1]},
    ]
    desk.write(bot(spec__model__fallbacks=fallbacks, spec__limits={"budget": {"tokensPerDay": 5}}))
    desk.put(**{"second/good": "sk-1", "second/bad": "sk 2"})
    told = desk.told()
    for wanted in (
        "concierge: spec.model.fallbacks[1].apiKeySecretRef: Secret second, key bad: has spaces",
        "concierge: spec.model.fallbacks[1].baseUrl: must hold neither ? nor #",
    ):
        assert [line for line in told if line.startswith(wanted)], (wanted, told)
    desk.write(bot(spec__model__fallbacks=fallbacks[:1]))
    result = desk.check()
    assert result.exit_code == 0, result.output
    assert "spec.model.fallbacks[0].baseUrl: the key and all messages go there unencrypted" in result.output
    assert "else local" in result.output
    desk.write(bot(spec__limits={"budget": {"moneyPerDay": 5}}))
    assert [line for line in desk.told() if line.startswith("concierge: spec.model.pricePerMillionTokens: is not said")]


def test_the_transcription_is_checked_like_the_main_model_and_who_sees_and_hears_is_shown(desk: Desk) -> None:
    voices = {
        "name": "whisper-1",
        "baseUrl": "http://voices.example/v1?x=1",
        "apiKeySecretRef": {"name": "voices", "key": "k"},
    }
    desk.write(bot(spec__model__transcription=voices))
    desk.put(**{"voices/k": "sk 2"})
    told = desk.told()
    for wanted in (
        "concierge: spec.model.transcription.apiKeySecretRef: Secret voices, key k: has spaces",
        "concierge: spec.model.transcription.baseUrl: must hold neither ? nor #",
    ):
        assert [line for line in told if line.startswith(wanted)], (wanted, told)
    desk.put(**{"voices/k": "sk-2"})
    desk.write(
        bot(spec__model__transcription={**voices, "baseUrl": "https://voices.example/v1"}, spec__model__vision=True)
    )
    result = desk.check()
    assert result.exit_code == 0, result.output
    assert "whisper-1 at https://voices.example/v1" in result.output
    assert "shown to gpt-5-mini" in result.output


def test_what_is_missing_in_the_file_itself_is_told_with_both_ways_to_give_it(desk: Desk) -> None:
    told = desk.told(secrets=False)
    assert len(told) == 4
    assert all(f"add the Secret to {desk.manifest}, or say where it is: --secrets DIR" in line for line in told)


def test_one_bot_of_several_is_looked_at_by_its_name(desk: Desk) -> None:
    desk.write(bot(), bot(metadata__name="other", spec__model__apiKeySecretRef={"name": "nowhere", "key": "k"}))
    assert desk.check("--name", "concierge").exit_code == 0
    assert len(desk.told("--name", "other")) == 1
    assert desk.told("--name", "nobody") == ["no TelegramBot is named nobody"]
    assert len(desk.told()) == 1, "without a name all are looked at"


def test_no_value_of_a_secret_is_ever_shown(desk: Desk) -> None:
    desk.put(**{"openai/api-key": "planted words", "concierge/token": "planted", "telegram-app/api-hash": "planted"})
    result = desk.check()
    assert result.exit_code == 2
    assert "planted" not in result.output
    desk.manifest.write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {k: 'planted, {a: }\n")
    result = desk.check()
    assert result.exit_code == 2
    assert "is not YAML: line " in result.output
    assert "planted" not in result.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds nothing"),
        ("a: [", "is not YAML: line 1, column 5"),
        ("kind: TelegramBot\n\tspec: 1", "a tab; indent with spaces"),
        ("kind: TelegramBot\nkind: TelegramBot", "line 2, column 1: this key stands twice"),
        ("kind: telegrambot", "has no meaning here"),
        ("apiVersion: v1\nkind: Namespace", "there is no TelegramBot in it"),
    ],
)
def test_a_file_that_is_no_manifest_is_told_with_the_place(desk: Desk, text: str, told: str) -> None:
    desk.manifest.write_text(text)
    (line,) = desk.told()
    assert told in line


def test_secrets_that_others_can_read_are_a_warning_and_no_mistake(shared: Path) -> None:
    desk = Desk(shared)
    desk.put()
    desk.write(bot())
    (desk.secrets / "openai/api-key").chmod(0o644)
    for folder in (desk.secrets, desk.secrets / "openai"):
        folder.chmod(0o755)
    result = desk.check()
    assert result.exit_code == 0, result.output
    assert f"chmod 600 {desk.secrets}/openai/api-key" in result.output
    (desk.secrets / "openai").chmod(0o700)
    assert "warning" not in desk.check().output, "nobody gets to the file"


def test_a_manifest_with_secrets_that_others_can_read_is_a_warning(shared: Path) -> None:
    desk = Desk(shared)
    values = {name: dict[str, str]() for name in ("telegram-app", "concierge", "openai")}
    for path, value in GOOD.items():
        name, _, key = path.partition("/")
        values[name][key] = value
    desk.write(
        bot(),
        *({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": n}, "stringData": v} for n, v in values.items()),
    )
    desk.manifest.chmod(0o644)
    result = desk.check(secrets=False)
    assert result.exit_code == 0, result.output
    assert f"chmod 600 {desk.manifest}" in result.output


def test_a_key_that_would_be_sent_unencrypted_is_a_warning(desk: Desk) -> None:
    desk.write(bot(spec__model__baseUrl="http://llm.example/v1"))
    result = desk.check()
    assert result.exit_code == 0
    assert "warning" in result.output
    assert "unencrypted" in result.output


def test_defaults_of_the_environment_are_looked_at_too(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.write(bot(spec__model__name=None))
    assert desk.told() == [
        "concierge: spec.model.name: is not said, and no default says it; write the model's name as its endpoint calls it,"
        " for example gpt-5-mini"
    ]
    monkeypatch.setenv("BOTFLEET_BOT_DEFAULTS", "{model: {name: llama}}")
    assert "llama at" in desk.check().output
    monkeypatch.setenv("BOTFLEET_BOT_DEFAULTS", "{model: {name: llama, nam: llama}}")
    assert "BOTFLEET_BOT_DEFAULTS does not fit" in desk.check().output
