"""Why: `botrunner chat`: the owner talks with the persona and the model as people will, before anybody else does.

Rules, prompt and disclosure are the bot's own; only Telegram and the store are left out. Nothing is kept when it ends.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from botfleet.effective import Access, EffectiveSpec
from botfleet.spec.access import Groups
from botfleet.store.rows import HistoryRow
from botfleet.store.tables import Role
from botrunner.conversation import texts
from botrunner.conversation.commands import EVERYBODYS, Command, Told, listed
from botrunner.conversation.policy import AskModel, ChatFacts, Pending, RunCommand, next_step
from botrunner.conversation.prompt import assemble
from botrunner.conversation.speakers import spoken
from botrunner.conversation.tokens import Estimate, newest_within
from botrunner.model.chain import Endpoint
from botrunner.model.provider import Failure, NoAnswer
from botrunner.telegram.markdown import render

QUIT = "/quit"
EVERYBODY = Access(frozenset(), frozenset(), Groups.OFF, private_chats=True)
YOU = 1  # a private chat's peer; any positive number is one

WORDS = {
    Failure.UNAUTHORIZED: "The endpoint refuses the key. Put the right one into {secret}; the model may also be closed to it.",
    Failure.RATE_LIMITED: "The endpoint wants fewer questions a minute. Wait a moment and say it again.",
    Failure.QUOTA_EXHAUSTED: "The key's quota is used up. Add credit at the model's provider, or use another key in {secret}.",
    Failure.UNREACHABLE: "Nobody answers at {url}. Check spec.model.baseUrl and your network.",
    Failure.TIMEOUT: "No answer within {seconds} s. Say it again, or raise spec.model.timeoutSeconds.",
    Failure.SERVER_ERROR: "The endpoint has trouble of its own. Wait a moment and say it again.",
    Failure.UNKNOWN_MODEL: "The endpoint knows no such model or address. Check spec.model.name ({model}) and baseUrl ({url}).",
    Failure.REFUSED_REQUEST: "The endpoint refuses the request for what is in it. Check spec.model.temperature and"
    " maxOutputTokens, which some models refuse; or it refuses what was said.",
    Failure.BAD_ANSWER: "What came back is no chat completion. Check spec.model.baseUrl ({url}): it often ends in /v1.",
    Failure.EMPTY_ANSWER: "The model said nothing. Say it again; a model that thinks may need more spec.model.maxOutputTokens.",
}
"""What each failure means to the owner, and what to do. (The bot itself keeps the message and asks again.)"""


Outcome = str | NoAnswer | None
"""What the bot says; why it cannot; None: it says nothing to that."""


class Talk:
    """One conversation, in memory."""

    def __init__(
        self, spec: EffectiveSpec, model: Endpoint, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        # The owner may talk with the bot, whomever else it answers.
        self._spec, self._model, self._now = replace(spec, access=EVERYBODY), model, now
        self._history: list[HistoryRow] = []
        self._disclosed_at: datetime | None = None
        self._opted_out = False
        self._said = 0

    async def say(self, text: str) -> Outcome:
        """What the bot answers; nothing after /stop."""
        now = self._now()
        self._said += 1
        last = self._history[-1].date if self._history else None
        facts = ChatFacts(YOU, frozenset({YOU} if self._opted_out else ()), self._disclosed_at, last)
        match next_step([Pending(self._said, text, now)], facts, self._spec, None, now):
            case RunCommand(told=Told(command=Command.STOP)):
                self._opted_out = True
                return texts.STOPPED
            case RunCommand(told=Told(command=Command.START)):
                self._opted_out, self._disclosed_at = False, now
                return texts.STARTED
            case RunCommand(told=Told(command=Command.FORGET)):
                self._history, self._disclosed_at = [], None
                return texts.FORGOTTEN
            case RunCommand(told=Told(command=Command.HELP)):
                self._disclosed_at = now
                return texts.HELP + listed(EVERYBODYS)
            case AskModel(disclose=disclose):
                return await self._ask(text, disclose, now)
        return None

    async def _ask(self, text: str, disclose: bool, now: datetime) -> str | NoAnswer:
        conversation = self._spec.conversation
        last = self._history[-conversation.history_messages or len(self._history) :]
        seen = newest_within(last, conversation.history_tokens, Estimate().of)
        answer = await self._model.answer(assemble(self._spec.persona.prompt, seen, [spoken(text, group=False)]))
        if isinstance(answer, NoAnswer):
            return answer
        # As the person sees it, and as the model sees it again: without Markdown's signs.
        shown = render(texts.disclosed(answer.text) if disclose else answer.text).text
        self._history += [HistoryRow(Role.USER, text, now), HistoryRow(Role.ASSISTANT, shown, self._now())]
        self._disclosed_at = now if disclose else self._disclosed_at
        return shown


def told(failure: NoAnswer, spec: EffectiveSpec) -> str:
    """A failure in words, with what to do."""
    reference = spec.model.api_key_secret_ref
    words = WORDS[failure.failure].format(
        secret=f"Secret {reference.name}, key {reference.key}",
        url=spec.model.base_url,
        model=spec.model.name,
        seconds=spec.model.timeout_seconds,
    )
    wait = f" (It asks to wait {failure.retry_after:g} s.)" if failure.retry_after else ""
    return words + wait


def hold(
    talk: Talk,
    spec: EffectiveSpec,
    name: str,
    lines: Iterator[str],
    run: Callable[[Coroutine[Any, Any, Outcome]], Outcome],
    show: Callable[[str], None],
) -> bool:
    """The conversation to its end; False: the last question got no answer."""
    answered = True
    for line in lines:
        if line.strip() == QUIT:
            break
        if not line.strip():
            continue
        answer = run(talk.say(line))
        answered = not isinstance(answer, NoAnswer)
        if isinstance(answer, NoAnswer):
            show(f"! {told(answer, spec)}")
        elif answer is None:
            show("  (The bot says nothing: /start brings it back.)")
        else:
            first, *rest = answer.splitlines()
            show("\n".join([f"{name}: {first}", *(f"  {one}" if one else "" for one in rest)]))
    return answered


def typed(prompt: str) -> Iterator[str]:
    """The lines of standard input; at a terminal with a prompt, and edited with the arrow keys."""
    if prompt:
        import readline  # noqa: F401 -- input() uses it once it is loaded
    while True:
        try:
            yield input(prompt)
        except EOFError:
            return


def chat(spec: EffectiveSpec, name: str, model_key: str, *, at_terminal: bool, show: Callable[[str], None]) -> bool:
    """`botrunner chat`; False: the last question got no answer. Ctrl-C ends it.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    from botrunner.model.provider import ModelProvider

    with asyncio.Runner() as runner:
        provider = ModelProvider(spec.model, model_key)
        try:
            lines = typed("you: " if at_terminal else "")
            return hold(Talk(spec, provider), spec, name, lines, runner.run, show)
        finally:
            runner.run(provider.close())
