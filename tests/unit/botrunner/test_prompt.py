"""Promises of the prompt: the persona first, the conversation in order, the turn last, and the truth about being an AI."""

from datetime import UTC, datetime

from botfleet.store.rows import HistoryRow
from botfleet.store.tables import Role
from botrunner.conversation.prompt import TRUTHFUL, assemble

DATE = datetime(2026, 11, 24, tzinfo=UTC)


def test_the_prompt_is_persona_history_turn() -> None:
    history = [HistoryRow(Role.USER, "hi", DATE), HistoryRow(Role.ASSISTANT, "hello", DATE)]
    assert assemble("You are the concierge.\n", history, ["one", "two"]) == [
        {"role": "system", "content": f"You are the concierge.\n\n{TRUTHFUL}"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
    ]


def test_no_persona_can_make_a_bot_deny_that_it_is_an_ai() -> None:
    (system, _) = assemble("You are a human being called Tom.", [], ["are you a robot?"])
    assert system["content"].endswith(TRUTHFUL)
