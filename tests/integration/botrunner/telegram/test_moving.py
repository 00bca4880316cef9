"""An account that another TelegramBot serves now: the gap is fetched from where the first one stopped, once it has followed."""

from datetime import UTC, datetime

import pytest

from botfleet.conditions import Reason
from botfleet.store.binding import BindingRepository, Bound
from botfleet.store.bots import BotRepository
from botrunner.ownership.binding import OperatorBindings
from botrunner.telegram.types import Credential, UserSession
from tests.integration.botrunner.telegram.harness import Life, World
from tests.waiting import until


@pytest.mark.parametrize("who", ["bot", "person"])
async def test_the_gap_between_two_bots_is_fetched_and_nothing_is_taken_in_before_it_can_be(world: World, who: str):
    """The operator is played by what it calls."""
    bindings, bots = BindingRepository(world.store), BotRepository(world.store)
    first, admin = world.bot_id, world.tg.admin
    credential: Credential = world.token
    if who == "person":
        credential = UserSession(await admin.create_session(f"{world.phone}9"))
        world.bot = await admin.account(world.bob)
    keys = [credential.account_key] + ([f"user:{world.bob}"] if who == "person" else [])
    now = datetime.now(UTC)

    async def bind(bot_id: str) -> list[bool]:
        """For each key whether what goes with the account is still to come."""
        made = [await bindings.bind(bot_id, key, credential.digest, now) for key in keys]
        assert all(isinstance(one, Bound) for one in made)
        return [one.binding.moving for one in made if isinstance(one, Bound)]

    async def live(bot_id: str) -> Life:
        return await world.live(credential, bindings=OperatorBindings(bindings, bot_id))

    assert not any(await bind(first))
    life = await live(first)
    await life.connected()
    for key in keys:
        await bindings.prove(key, first)
    await admin.send_message(world.alice, world.bot.id, "waits")
    await world.wait_texts(world.alice, ["waits"])
    await (await world.path()).opt_out(55)
    await life.stop()
    await world.drop_lease()
    assert await bots.adopt(first, "uid-1", was=None)
    assert await bots.retire(first, "uid-1")
    await admin.send_message(world.alice, world.bot.id, "in between")

    second = (await bots.create("hotel", "another", "uid-2", "1nsta11d")).id
    world.bot_id = second
    assert any(await bind(second))
    life = await live(second)
    await until(lambda: any(s.authorized and s.reason is Reason.BINDING_PENDING for s in life.statuses))
    path = await world.path()
    assert await path.states() == {}, "it would skip what came in between"
    assert not life.telegram.connected
    for key in keys:
        assert await bindings.prove(key, second)
    await life.connected()
    await world.wait_texts(world.alice, ["waits", "in between"])
    assert (await path.silence(55)).opted_out
