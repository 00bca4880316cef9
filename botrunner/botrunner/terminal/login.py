"""Why: `botrunner login`: a person's account becomes a Secret that a bot can use, and nobody sees the session on the way.

The file is asked about before the person is, so that no code is wasted on a place that cannot be written.
"""

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from botfleet.spec import Metadata, SecretKeyRef
from botrunner.files import write_whole
from botrunner.telegram.entering import Asks, NotEnteredError, entered
from botrunner.telegram.types import ApiCredentials, Me, Server
from botrunner.terminal.drawing import drawing, erased
from botrunner.terminal.lines import Lines

LABEL = "botfleet.dev/credentials"
_SENT_BY = {
    "App": "Telegram has sent a code to your other devices.",
    "Sms": "Telegram has sent a code in a text message.",
    "Call": "Telegram calls you and says a code.",
    "EmailCode": "Telegram has sent a code to your e-mail address.",
}
_SCAN = "On your phone: Telegram, Settings, Devices, Link Desktop Device; scan this."
_NOTE = """\
# A Telegram session, made by `botrunner login`: whoever has it is in the account. Keep it as you keep a password.
# One session, one place: used in two places at once, Telegram ends it for good.
"""


class LoginError(Exception):
    """There is no session; the message says why and what to do."""


class Person(Asks):
    """Who sits at the terminal."""

    def __init__(self, lines: Lines, show: Callable[[str], None]) -> None:
        self._lines, self._show = lines, show
        self._drawn = 0

    async def phone(self) -> str:
        """See Asks."""
        return await self._lines.ask("Phone number of the account, with its country code: ")

    async def code(self, sent_by: str) -> str:
        """See Asks."""
        return await self._lines.ask(f"{_SENT_BY.get(sent_by, 'Telegram has sent a code.')} Code: ")

    async def password(self) -> str:
        """See Asks."""
        return await self._lines.ask("Password of two-step verification (it is not shown): ", hidden=True)

    def scan(self, link: str, seconds: float) -> None:
        """See Asks."""
        drawn = drawing(link)
        self._erase()
        self._show(f"{_SCAN} This one is good for {seconds:.0f} s, then another one is drawn.\n{drawn}\n")
        self._drawn = drawn.count("\n") + 2

    def scanned(self) -> None:
        """See Asks."""
        self._erase()

    def _erase(self) -> None:
        """Nobody shall scan what is over."""
        if self._drawn:
            self._show(erased(self._drawn))
        self._drawn = 0

    def wrong(self, told: str) -> None:
        """See Asks."""
        self._show(f"{told} Once more.\n")


def refuse_place(output: Path, *, force: bool) -> None:
    """Whether the Secret can be written there.

    Raises:
        LoginError: it cannot, or something is there.
    """
    if output.exists() and not force:
        raise LoginError(f"{output} exists and is left as it is. Name another file with -o, or replace it: --force")
    if output.is_dir() or not os.access(output.absolute().parent, os.W_OK | os.X_OK):
        raise LoginError(f"{output} cannot be written. Name another file with -o")


async def login(
    api: ApiCredentials,
    server: Server | None,
    person: Asks,
    bot: Metadata,
    reference: SecretKeyRef,
    output: Path,
    *,
    force: bool,
    by_scan: bool = False,
) -> Me:
    """Logs the person in and writes the Secret.

    Raises:
        LoginError: with what to do; then there is no session either.
    """
    refuse_place(output, force=force)
    try:
        async with entered(api, server, person, by_scan=by_scan) as account:
            content = secret(bot, reference, account.session)
            if not write_whole(output, content.encode(), replace=force):
                raise LoginError(f"{output} has appeared meanwhile and is left as it is; the session was ended again.")
            return account.me
    except NotEnteredError as error:
        raise LoginError(f"{error}{_until(error.wait)}") from None
    except OSError as error:
        told = f"{output} cannot be written ({error.strerror}); the session was ended again. Name another file with -o"
        raise LoginError(told) from None


def secret(bot: Metadata, reference: SecretKeyRef, session: str) -> str:
    """The Secret's manifest, with the label that lets bots use it."""
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": reference.name, "namespace": bot.namespace, "labels": {LABEL: "true"}},
        "type": "Opaque",
        "stringData": {reference.key: session},
    }
    return _NOTE + yaml.safe_dump(document, sort_keys=False, width=1000)


def _until(wait: int) -> str:
    """How long, and until when by the clock of the wall."""
    if not wait:
        return ""
    hours, minutes = divmod((wait + 59) // 60, 60)
    long = " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)
    then = datetime.now().astimezone() + timedelta(seconds=wait)
    return f": {long}, until {then:%Y-%m-%d %H:%M}. Try again then, not before."
