"""What an operator does to a row when its object has gone."""

from botfleet.store.bots import Bot, BotRepository


async def retired(bots: BotRepository, bot_id: str) -> Bot:
    """The row as it is afterwards."""
    before = await bots.get(bot_id)
    assert before is not None
    assert before.uid is not None
    assert await bots.retire(bot_id, before.uid)
    after = await bots.get(bot_id)
    assert after is not None
    return after
