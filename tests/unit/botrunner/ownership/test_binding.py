"""A runner stays off Telegram until the credential in its hand is the one bound to its bot."""

from datetime import UTC, datetime

import pytest

from botfleet.store.binding import Binding, BindingRepository, Bound, InUse
from botrunner.ownership.binding import LocalBindings, OperatorBindings
from botrunner.telegram.types import BotToken, UserSession

TOKEN = BotToken("123456:AAAAAAAAAAAA")
SESSION = UserSession("1abc")


class Repository(BindingRepository):
    """Bindings in memory."""

    def __init__(self, *bindings: Binding) -> None:
        self.bindings = list(bindings)
        self.bound: list[str] = []
        self.taken = False

    async def of_bot(self, bot_id: str) -> list[Binding]:
        return [one for one in self.bindings if one.bot_id == bot_id]

    async def bind(self, bot_id: str, key: str, digest: str, now: datetime) -> Bound | InUse:
        self.bound.append(key)
        return InUse("other") if self.taken else Bound(binding(key, digest, bot_id), changed=True)


def binding(key: str, digest: str, bot_id: str = "bot") -> Binding:
    return Binding(key, bot_id, digest, proved=False, bound_at=datetime.now(UTC))


async def test_the_bound_token_may_be_used_and_its_account_needs_nothing_more():
    bindings = OperatorBindings(Repository(binding("bot:123456", TOKEN.digest)), "bot")
    assert await bindings.may_use(TOKEN)
    assert await bindings.may_use_account(TOKEN, 123456)


@pytest.mark.parametrize(
    "bound",
    [
        [],
        [binding("bot:123456", "another digest")],
        [binding("bot:999", TOKEN.digest)],
        [binding("bot:123456", TOKEN.digest, "other bot")],
    ],
)
async def test_another_token_account_or_bot_may_not(bound):
    assert not await OperatorBindings(Repository(*bound), "bot").may_use(TOKEN)


async def test_a_persons_account_waits_for_the_binding_of_its_id():
    repository = Repository(binding(f"session:{SESSION.digest}", SESSION.digest))
    bindings = OperatorBindings(repository, "bot")
    assert await bindings.may_use(SESSION)
    assert not await bindings.may_use_account(SESSION, 77)
    repository.bindings.append(binding("user:77", SESSION.digest))
    assert await bindings.may_use_account(SESSION, 77)


async def test_two_sessions_of_one_person_are_found_by_the_id():
    repository = Repository(binding(f"session:{SESSION.digest}", SESSION.digest), binding("user:77", "x", "other bot"))
    assert not await OperatorBindings(repository, "bot").may_use_account(SESSION, 77)


async def test_text_that_is_no_token_is_bound_nowhere():
    assert not await OperatorBindings(Repository(), "bot").may_use(BotToken("nonsense"))


async def test_alone_the_account_is_bound_at_its_first_use():
    repository = Repository()
    assert await LocalBindings(repository, "bot").may_use(SESSION)
    assert await LocalBindings(repository, "bot").may_use_account(SESSION, 77)
    assert repository.bound == [f"session:{SESSION.digest}", "user:77"]


async def test_alone_what_is_bound_already_is_not_written_again():
    repository = Repository(binding("bot:123456", TOKEN.digest))
    assert await LocalBindings(repository, "bot").may_use(TOKEN)
    assert repository.bound == []


async def test_alone_an_account_in_use_is_refused():
    repository = Repository()
    repository.taken = True
    assert not await LocalBindings(repository, "bot").may_use(TOKEN)
