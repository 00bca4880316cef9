"""Promises of who is answered and where: the owner's lists, private chats, groups, and never a bot or a channel."""

import pytest

from botfleet.effective import Access, effective
from botfleet.spec import TelegramBotSpec
from botfleet.spec.access import Groups
from botfleet.store.tables import Sender
from botrunner.conversation.access import Letter, names, person_of, refusal
from botrunner.conversation.skips import Skip
from tests.unit.core.test_spec import MINIMAL

ALICE, BOB, GROUP = 5, 6, -1_000_000_000_700


def access(**given: object) -> Access:
    return effective(TelegramBotSpec.model_validate({**MINIMAL["spec"], "access": given})).access


def private(person: int = ALICE, kind: str | None = None) -> Letter:
    return Letter(person, person, kind, addressed=True)


def in_group(person: int | None = ALICE, kind: str | None = None, *, addressed: bool = True) -> Letter:
    return Letter(GROUP, person, kind, addressed)


def test_unless_the_owner_says_otherwise_everybody_is_answered_and_in_groups_when_addressed() -> None:
    assert refusal(private(), access()) is None
    assert refusal(in_group(), access()) is None
    assert refusal(in_group(addressed=False), access()) is Skip.NOT_MENTIONED


def test_only_those_who_are_allowed_are_answered() -> None:
    rules = access(users={"allow": [ALICE]})
    assert refusal(private(ALICE), rules) is refusal(in_group(ALICE), rules) is None
    assert refusal(private(BOB), rules) is refusal(in_group(BOB), rules) is Skip.NOT_ALLOWED
    assert refusal(in_group(None), rules) is Skip.NOT_ALLOWED, "nobody is named"


def test_who_is_denied_is_never_answered() -> None:
    rules = access(users={"allow": [ALICE, BOB], "deny": [ALICE]})
    assert refusal(private(ALICE), rules) is refusal(in_group(ALICE), rules) is Skip.DENIED
    assert refusal(private(BOB), rules) is None


def test_private_chats_can_be_switched_off() -> None:
    assert refusal(private(), access(privateChats=False)) is Skip.PRIVATE_CHATS_OFF
    assert refusal(in_group(), access(privateChats=False)) is None


@pytest.mark.parametrize(
    ("groups", "addressed", "skip"),
    [
        (Groups.OFF, True, Skip.GROUPS_OFF),
        (Groups.OFF, False, Skip.GROUPS_OFF),
        (Groups.MENTION, True, None),
        (Groups.MENTION, False, Skip.NOT_MENTIONED),
        (Groups.ALL, True, None),
        (Groups.ALL, False, None),
    ],
)
def test_in_a_group_is_answered_what_the_owner_said(groups: Groups, addressed: bool, skip: Skip | None) -> None:
    assert refusal(in_group(addressed=addressed), access(groups=groups)) is skip


@pytest.mark.parametrize(("kind", "skip"), [(Sender.BOT, Skip.FROM_BOT), (Sender.CHANNEL, Skip.CHANNEL_POST)])
def test_other_bots_and_channels_are_never_answered(kind: Sender, skip: Skip) -> None:
    rules = access(groups="All", users={"allow": [ALICE]})
    assert refusal(in_group(ALICE, kind), rules) is refusal(private(ALICE, kind), rules) is skip


def test_in_a_group_who_speaks_is_the_sender_or_the_group_itself_when_an_admin_is_anonymous() -> None:
    assert person_of(ALICE, None) == ALICE
    assert person_of(GROUP, BOB) == BOB
    assert person_of(GROUP, None) == person_of(GROUP, GROUP) == GROUP


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@concierge_bot hello", True),
        ("hello @Concierge_Bot!", True),
        ("(@CONCIERGE_BOT)", True),
        ("привет,@concierge_bot", True),
        ("@concierge_bots", False),
        ("@concierge_bot2", False),
        ("@concierge_botя", False),
        ("me@concierge_bot", False),
        ("write to me@concierge_bot.example", False),
        ("concierge_bot", False),
        ("@other_bot", False),
        ("/help@concierge_bot", True),
        ("  /help@Concierge_Bot now", True),
        ("a/help@concierge_bot", False),
        ("/help@concierge_bot2", False),
        ("", False),
    ],
)
def test_a_mention_is_the_whole_username_in_whatever_case_and_not_inside_another_word(text: str, found: bool) -> None:
    assert names(text, "concierge_bot") is found
    assert not names(text, None)
