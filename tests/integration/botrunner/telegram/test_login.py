"""Getting in: one login a key, a stored key used again, and every refusal with its reason."""

import asyncio

import pytest

from botfleet.conditions import Reason
from botfleet.keys import Sealer
from botfleet.store.account import AccountRepository
from botfleet.store.binding import BindingRepository
from botfleet.store.rows import UpdateState
from botfleet_simulator.person import Person
from botrunner.ownership.binding import OperatorBindings
from botrunner.telegram import connection, login
from botrunner.telegram.connection import End, Ended
from botrunner.telegram.types import BotToken, Server, UserSession
from tests.integration.botrunner.telegram.harness import Life, World
from tests.waiting import DEADLINE, until, until_async

IMPORT = "auth.importBotAuthorization"


async def ended(life: Life, seconds: float = DEADLINE) -> Ended:
    return await asyncio.wait_for(life.task, seconds)


async def accounts(world: World) -> AccountRepository:
    return AccountRepository(world.store, (await world.tenure()).lease, world.bot.id)


async def test_a_second_start_uses_the_stored_key_and_does_not_log_in_again(world: World):
    for _ in range(3):
        life = await world.live()
        await life.connected()
        await life.stop()
    assert await world.calls(IMPORT) == 1
    assert len(await world.tg.admin.sessions(world.bot.id)) == 1


async def test_the_whole_session_is_stored_sealed_before_the_token_is_shown(world: World):
    held = await world.tg.admin.add_fault("hold", method=IMPORT, before=True)
    life = await world.live()
    await world.tg.admin.wait_fault(held.id)
    stored = await (await accounts(world)).load()
    assert stored is not None
    assert stored.session is not None
    assert b"127.0.0.1" not in stored.session
    assert stored.authorized_at is None
    await world.tg.admin.release(held.id)
    await life.connected()
    stored = await (await accounts(world)).load()
    assert stored is not None
    assert stored.authorized_at is not None
    assert stored.username == world.name


async def test_a_runner_that_ends_between_the_import_and_its_answer_goes_on_with_the_same_key(world: World):
    held = await world.tg.admin.add_fault("hold", method=IMPORT)
    life = await world.live()
    await world.tg.admin.wait_fault(held.id)
    await life.stop()
    await world.tg.admin.remove_fault(held.id)
    again = await world.live()
    await again.connected()
    assert len(await world.tg.admin.sessions(world.bot.id)) == 1
    assert await world.calls(IMPORT) == 1


async def test_a_runner_that_ends_between_the_storing_of_the_key_and_the_import_goes_on_with_the_same_key(world: World):
    held = await world.tg.admin.add_fault("hold", method=IMPORT, before=True)
    life = await world.live()
    await world.tg.admin.wait_fault(held.id)
    await life.stop()
    await world.tg.admin.remove_fault(held.id)
    again = await world.live()
    await again.connected()
    assert len(await world.tg.admin.sessions(world.bot.id)) == 1
    # Whether the server still executes what it held is its own affair; that nobody showed the token under another key is ours.
    assert len({call.key_id for call in await world.tg.admin.calls(IMPORT, after=world.since)}) == 1


async def test_a_key_that_was_stored_and_never_authorized_is_imported_not_replaced(world: World):
    await world.tg.admin.add_fault("cut", method=IMPORT)
    life = await world.live()
    await life.connected()
    imports = await world.tg.admin.calls(IMPORT, after=world.since)
    assert len(imports) == 2
    assert len({call.key_id for call in imports}) == 1


async def test_the_first_state_is_stored_at_once_and_later_ones_do_not_replace_it(world: World):
    async def asked_before_the_difference(after: int) -> int:
        """A quiet account is asked for its state too, later."""
        difference = (await world.tg.admin.wait_for_call("updates.getDifference", after=after))[0]
        return len(
            [call for call in await world.tg.admin.calls("updates.getState", after=after) if call.seq < difference.seq]
        )

    life = await world.live()
    await life.connected()
    assert await asked_before_the_difference(world.since) == 1
    state = (await (await world.path()).states())[0]
    assert state.pts >= 1
    await life.stop()
    stopped = await world.tg.admin.last_call()
    await world.tg.admin.send_message(world.alice, world.name, "while away")
    await world.live()
    await world.wait_texts(world.alice, ["while away"])
    assert await asked_before_the_difference(stopped) == 0


async def test_a_host_name_is_resolved(world: World):
    life = await world.live(server=Server(2, "localhost", world.tg.port, world.tg.public_key))
    await life.connected()


async def test_a_refused_token_is_told_and_not_tried_again(world: World):
    life = await world.live(BotToken(f"{world.bot.id}:{'x' * 35}"))
    assert await ended(life) == Ended(End.REFUSED, Reason.TOKEN_INVALID)
    assert life.statuses[-1].authorized is False
    assert life.statuses[-1].reason is Reason.TOKEN_INVALID
    assert await world.calls(IMPORT) == 1


async def test_after_a_refused_token_the_right_one_gets_in(world: World):
    assert (await ended(await world.live(BotToken(f"{world.bot.id}:{'x' * 35}")))).end is End.REFUSED
    life = await world.live()
    await life.connected()


async def test_another_token_of_the_same_bot_makes_a_new_login(world: World):
    life = await world.live()
    await life.connected()
    await life.stop()
    renewed = f"{world.bot.id}:{'n' * 35}"
    await world.tg.admin.update_account(world.bot.id, token=renewed)
    life = await world.live(BotToken(renewed))
    await life.connected()
    assert await world.calls(IMPORT) == 2


async def test_text_that_is_no_token_is_refused_without_a_connection(world: World):
    await world.tg.admin.wait_connections(count=0, exactly=True)  # of former tests
    assert await ended(await world.live(BotToken("nonsense"))) == Ended(End.REFUSED, Reason.TOKEN_INVALID)
    assert await world.tg.admin.connections() == []


async def test_wrong_application_credentials_are_told(world: World):
    await world.tg.admin.add_fault("error", method="help.getConfig", message="API_ID_INVALID", times=None)
    assert await ended(await world.live()) == Ended(End.REFUSED, Reason.API_CREDENTIALS_INVALID)


async def test_a_flood_wait_at_login_is_waited_for(world: World):
    await world.tg.admin.add_fault("error", method=IMPORT, message="FLOOD_WAIT_2")
    began = asyncio.get_running_loop().time()
    life = await world.live()
    await life.connected()
    assert asyncio.get_running_loop().time() - began >= 2
    assert await world.calls(IMPORT) == 2


@pytest.mark.parametrize("error", ["AUTH_KEY_UNREGISTERED", "SESSION_REVOKED", "AUTH_KEY_DUPLICATED", "FORGET"])
async def test_a_bot_whose_key_died_logs_in_again_and_loses_nothing(world: World, alice: Person, error: str):
    life = await world.live()
    await life.connected()
    await world.tg.admin.revoke_sessions(world.bot.id, error=error)
    await world.tg.admin.cut(world.bot.id)
    await until(lambda: not life.telegram.connected)
    await world.tg.admin.send_message(world.alice, world.name, "meanwhile")
    await life.connected()
    await world.wait_texts(world.alice, ["meanwhile"])
    assert await world.calls(IMPORT) == 2


async def test_a_key_that_dies_under_a_send_is_noticed_by_it(world: World, alice: Person):
    life = await world.live()
    await life.connected()
    await alice.say(world.name, "hello")
    await world.wait_texts(world.alice, ["hello"])
    await world.tg.admin.revoke_sessions(world.bot.id)
    row = await world.queue(world.alice, "hi")
    await life.telegram.sender.send(row)
    await until(lambda: not life.telegram.connected)
    await life.connected()
    await life.telegram.sender.send(row)
    assert (await alice.wait_reply(world.name)).text == "hi"


async def test_a_key_that_dies_again_within_the_hour_waits_and_says_why(world: World):
    life = await world.live()
    await life.connected()
    for _ in range(2):
        await world.tg.admin.revoke_sessions(world.bot.id)
        await world.tg.admin.cut(world.bot.id)
        await until(lambda: not life.telegram.connected)
        await until(lambda: life.telegram.connected or life.telegram.status.reason is Reason.SESSION_REVOKED)
    assert life.telegram.status.authorized is False
    assert await world.calls(IMPORT) == 2


async def test_a_deactivated_bot_is_told_and_not_tried_again(world: World):
    life = await world.live()
    await life.connected()
    await world.tg.admin.update_account(world.bot.id, banned=True)
    await world.tg.admin.cut(world.bot.id)
    assert await ended(life) == Ended(End.REFUSED, Reason.ACCOUNT_BANNED)


async def test_a_stored_session_that_cannot_be_decrypted_counts_as_none(world: World):
    life = await world.live()
    await life.connected()
    await life.stop()
    world.sealer = Sealer(b"z" * 32)
    life = await world.live()
    await life.connected()
    assert await world.calls(IMPORT) == 2


async def test_a_handshake_that_hangs_is_given_up_and_tried_again(world: World, monkeypatch):
    monkeypatch.setattr(connection, "LOGIN_SECONDS", 0.5)
    fault = await world.tg.admin.add_fault("hang_handshake", times=None)
    life = await world.live()
    await world.tg.admin.wait_fault(fault.id, hits=2)
    assert life.telegram.status.reason is Reason.DISCONNECTED
    await world.tg.admin.clear_faults()  # first: an attempt that began before it would hang for as long as is said then
    monkeypatch.setattr(connection, "LOGIN_SECONDS", 60)
    await life.connected()


async def test_a_connection_that_hangs_is_given_up_and_tried_again(world: World, monkeypatch):
    life = await world.live()
    await life.connected()
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 0.5)
    fault = await world.tg.admin.add_fault("hang_handshake", times=None)
    await world.tg.admin.cut(world.bot.id)
    await world.tg.admin.wait_fault(fault.id, hits=2)
    await world.tg.admin.clear_faults()
    monkeypatch.setattr(connection, "CONNECT_SECONDS", 20)
    await life.connected()


async def test_a_server_that_does_not_answer_a_login_is_tried_again(world: World, monkeypatch):
    monkeypatch.setattr(login, "STEP_SECONDS", 0.5)
    await world.tg.admin.add_fault("drop_answer", method=IMPORT)
    life = await world.live()
    await life.connected()
    assert await world.calls(IMPORT) == 1  # the key was authorized, so it was not imported again


# -- persons' accounts


async def person_session(world: World) -> UserSession:
    return UserSession(await world.tg.admin.create_session(world.alice))


async def test_a_persons_session_gets_in_and_takes_in(world: World):
    life = await world.live(await person_session(world))
    await life.connected()
    assert life.telegram.me is not None
    assert (life.telegram.me.id, life.telegram.me.bot) == (world.alice, False)
    await world.tg.admin.send_message(world.bob, world.alice, "hello")
    assert await asyncio.wait_for(life.pending.get(), DEADLINE) == {world.bob}


async def test_a_session_that_cannot_be_read_is_refused(world: World):
    assert await ended(await world.live(UserSession("nonsense"))) == Ended(End.REFUSED, Reason.SESSION_INVALID)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ("SESSION_REVOKED", Reason.SESSION_REVOKED),
        ("AUTH_KEY_UNREGISTERED", Reason.SESSION_REVOKED),
        ("AUTH_KEY_DUPLICATED", Reason.SESSION_DUPLICATED),
        ("FORGET", Reason.SESSION_REVOKED),
    ],
)
async def test_a_persons_dead_session_ends_with_its_reason_and_is_not_tried_again(
    world: World, error: str, reason: Reason
):
    life = await world.live(await person_session(world))
    await life.connected()
    await world.tg.admin.revoke_sessions(world.alice, error=error)
    await world.tg.admin.cut(world.alice)
    assert await ended(life) == Ended(End.REFUSED, reason)


async def test_nothing_of_a_persons_account_is_taken_in_before_it_is_bound(world: World):
    session = await person_session(world)
    repository = BindingRepository(world.store)
    await world.tg.admin.wait_connections(count=0, exactly=True)  # of former tests
    life = await world.live(session, bindings=OperatorBindings(repository, world.bot_id))
    await until(lambda: life.telegram.status.reason is Reason.BINDING_PENDING)
    assert await world.tg.admin.connections() == []
    await LocalBind(repository, world.bot_id).bind(session.account_key, session.digest)
    me = await until(lambda: life.telegram.me)
    assert me.id == world.alice
    assert not life.telegram.connected
    await LocalBind(repository, world.bot_id).bind(f"user:{world.alice}", session.digest)
    await life.connected()


class LocalBind:
    """The operator's hand."""

    def __init__(self, repository: BindingRepository, bot_id: str) -> None:
        self._repository, self._bot_id = repository, bot_id

    async def bind(self, key: str, digest: str) -> None:
        from datetime import UTC, datetime

        await self._repository.bind(self._bot_id, key, digest, datetime.now(UTC))


async def test_a_token_whose_binding_is_anothers_stays_off_telegram(world: World):
    repository = BindingRepository(world.store)
    await LocalBind(repository, world.bot_id).bind(world.token.account_key, "the digest of an older token")
    await world.tg.admin.wait_connections(count=0, exactly=True)  # of former tests
    life = await world.live(bindings=OperatorBindings(repository, world.bot_id))
    await until(lambda: life.telegram.status.reason is Reason.BINDING_PENDING)
    assert await world.tg.admin.connections() == []
    await LocalBind(repository, world.bot_id).bind(world.token.account_key, world.token.digest)
    await life.connected()


async def test_a_baseline_that_is_stored_stands(world: World):
    path = await world.path()
    await path.set_baseline(UpdateState(1))
    await world.tg.admin.send_message(world.alice, world.name, "before the first login")
    await world.live()

    async def taken_in() -> bool:
        return await world.texts(world.alice) == ["before the first login"]

    await until_async(taken_in)
