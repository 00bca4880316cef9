"""Why: `botrunner check`: all that is wrong with a manifest and its secrets, at once, before anything is sent to anybody.

It opens no connection, not even to look up a name: a session that is used twice is dead for good.
"""

import functools
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from botfleet.effective import EffectiveSpec, IncompleteError
from botfleet.manifest import (
    Manifest,
    ManifestError,
    SecretNotFoundError,
    SecretSource,
    examine,
)
from botfleet.mistakes import Mistake
from botfleet.model import fields
from botfleet.spec import AccountSpec, SecretKeyRef, TelegramBot
from botrunner.config import ConfigError, Settings
from botrunner.prepare import Prepared, prepare_bot, secrets_of
from botrunner.terminal import plausible

Judge = Callable[[str], str | None]

_MISSING = "is not said, and no default says it; "
_EXAMPLES = {
    "spec.persona.prompt": 'write who the bot is, for example "You are the concierge of a small hotel."',
    "spec.model.name": "write the model's name as its endpoint calls it, for example gpt-5-mini",
    "spec.model.pricePerMillionTokens": "a budget in money needs it: {input: 0.25, output: 2}, for a million tokens each",
    "spec.proactive.prompt": 'write what the bot is to write first about, for example "Ask how the stay was."',
    "spec.schedule": "a bot that writes first does so in its working hours: {timeZone: Europe/Berlin, workingHours: [{days: [Mon, Tue,"
    ' Wed, Thu, Fri], from: "09:00", to: "18:00"}]}',
    "spec.model.apiKeySecretRef": "write which Secret holds the endpoint's key: {name: openai, key: api-key}",
}


@dataclass
class Report:
    """`mistakes`: the bot cannot run so. `warnings`: it can, and should not. `good`: the bots without a mistake."""

    mistakes: list[Mistake] = field(default_factory=list)
    warnings: list[Mistake] = field(default_factory=list)
    good: list[Prepared] = field(default_factory=list)


def check(settings: Settings) -> Report:
    """Looks at one bot of the file, or at all of them when none is named."""
    report = Report()
    try:
        found = examine(settings.manifest, *settings.beside)
    except ManifestError as error:
        report.mistakes.append(Mistake("", "", str(error)))
        return report
    report.mistakes += found.mistakes
    bots = [bot for bot in found.manifest.bots if settings.name in (None, bot.metadata.name)]
    if not bots and not found.mistakes:
        what = f"no TelegramBot is named {settings.name}" if settings.name else "there is no TelegramBot in it"
        report.mistakes.append(Mistake(str(settings.manifest), "", what))
    for bot in bots:
        _check_bot(settings, bot, found.manifest, report)
    for path in (settings.manifest, *settings.beside):
        if _readable_by_others(path) and examine(path).manifest.secrets.secrets:
            told = f"others on this machine can read it, and Secrets stand in it: chmod 600 {path}"
            report.warnings.append(Mistake(str(path), "", told))
    return report


def _check_bot(settings: Settings, bot: TelegramBot, manifest: Manifest, report: Report) -> None:
    where = f"{settings.manifest}: {bot.metadata.name}"
    before = len(report.mistakes)
    tell = functools.partial(Mistake, where)
    prepared: Prepared | None = None
    try:
        prepared = prepare_bot(settings, bot, manifest)
    except IncompleteError as error:
        report.mistakes += [tell(name, _MISSING + _EXAMPLES.get(name, "write it")) for name in error.fields]
    except ConfigError as error:
        report.mistakes.append(Mistake("", "", str(error)))
    source = secrets_of(settings, manifest.secrets)
    for wanted in _wanted(bot, prepared.spec if prepared else None):
        wrong = _look(wanted, source, settings)
        if wrong:
            report.mistakes.append(tell(wanted.field, f"Secret {wanted.name}, key {wanted.key}: {wrong}"))
        elif settings.secrets_dir and _readable_by_others(path := settings.secrets_dir / wanted.name / wanted.key):
            report.warnings.append(tell(wanted.field, f"others on this machine can read {path}: chmod 600 {path}"))
    if prepared:
        for place, model in fields(prepared.spec.model):
            _check_address(f"{place}.baseUrl", model.base_url, tell, report)
        voices = prepared.spec.model.transcription
        if voices and voices.base_url != prepared.spec.model.base_url:
            _check_address("spec.model.transcription.baseUrl", voices.base_url, tell, report)
        if len(report.mistakes) == before:
            report.good.append(prepared)


def _check_address(name: str, url: str, tell: Callable[[str, str], Mistake], report: Report) -> None:
    if wrong := plausible.base_url(url):
        report.mistakes.append(tell(name, wrong))
    elif plausible.shows_the_key(url):
        report.warnings.append(tell(name, "the key and all messages go there unencrypted; write https:// if it can"))


@dataclass(frozen=True)
class _Wanted:
    """A key of a Secret that the bot needs, and what it must look like."""

    field: str
    name: str
    key: str
    judge: Judge


def _wanted(bot: TelegramBot, spec: EffectiveSpec | None) -> Iterator[_Wanted]:
    account = spec.account if spec else bot.spec.account
    yield from _of_account(account)
    if spec:
        for path, model in fields(spec.model):
            yield _at(f"{path}.apiKeySecretRef", model.api_key_secret_ref, plausible.model_key)
        if voices := spec.model.transcription:
            path = "spec.model.transcription.apiKeySecretRef"
            yield _at(path, voices.api_key_secret_ref, plausible.model_key)
    elif bot.spec.model and bot.spec.model.api_key_secret_ref:
        yield _at("spec.model.apiKeySecretRef", bot.spec.model.api_key_secret_ref, plausible.model_key)


def _of_account(account: AccountSpec) -> Iterator[_Wanted]:
    path, centre = "spec.account", account.data_center
    app = account.api_credentials_secret_ref.name
    # A simulator takes any words for an application's and for a token.
    yield _Wanted(f"{path}.apiCredentialsSecretRef", app, "api-id", plausible.api_id)
    judge = _anything if centre else plausible.api_hash
    yield _Wanted(f"{path}.apiCredentialsSecretRef", app, "api-hash", judge)
    if account.bot_token_secret_ref:
        token = functools.partial(plausible.bot_token, of_telegram=centre is None)
        yield _at(f"{path}.botTokenSecretRef", account.bot_token_secret_ref, token)
    if account.session_secret_ref:
        yield _at(f"{path}.sessionSecretRef", account.session_secret_ref, plausible.session)
    if centre and centre.public_key_secret_ref:
        yield _at(f"{path}.dataCenter.publicKeySecretRef", centre.public_key_secret_ref, plausible.public_key)


def _at(path: str, reference: SecretKeyRef, judge: Judge) -> _Wanted:
    return _Wanted(path, reference.name, reference.key, judge)


def _anything(value: str) -> str | None:
    return None if value else "is empty"


def _look(wanted: _Wanted, source: SecretSource, settings: Settings) -> str | None:
    try:
        value = source.read(wanted.name, wanted.key)
    except SecretNotFoundError:
        if settings.secrets_dir:
            return f"is not there; write it into {settings.secrets_dir / wanted.name / wanted.key}"
        return f"is not there; add the Secret to {settings.manifest}, or say where it is: --secrets DIR"
    except UnicodeDecodeError:
        return "is not text"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return wanted.judge(value.strip())


def _readable_by_others(path: Path) -> bool:
    """Whether its mode, and those of the folders above it, let another user of the machine read it."""
    try:
        if not path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            return False
        return all(parent.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH) for parent in path.absolute().parents)
    except OSError:
        return False
