"""An answer reaches the person as the model meant it, and after a kill as it was stored."""

from botrunner.conversation import texts
from botrunner.telegram.format import LIMIT
from botrunner.telegram.sender import Unknown
from tests.integration.botrunner.conversation.conftest import World


async def test_markdown_from_the_model_is_formatting_at_the_person(world: World) -> None:
    bot = world.bot()
    world.model.says = lambda _: "## Rooms\n- **12**, 😀 [see](https://a.example)"
    async with bot.live():
        await world.says(bot, "which rooms?")
        assert await world.wait_delivered(5, 1) == ["Rooms\n• 12, 😀 see"]
    assert world.telegram.formatting == [
        [
            {"type": "bold", "offset": 0, "length": 5},
            {"type": "bold", "offset": 8, "length": 2},
            {"type": "text_link", "offset": 15, "length": 3, "url": "https://a.example"},
        ]
    ]


async def test_markdown_that_is_broken_is_delivered_as_it_is(world: World) -> None:
    bot = world.bot()
    world.model.says = lambda _: "**never closed `either"
    async with bot.live():
        await world.says(bot, "hello")
        assert await world.wait_delivered(5, 1) == ["**never closed `either"]
    assert world.telegram.formatting == [None]


async def test_what_is_sent_again_after_a_kill_is_what_was_stored_with_its_formatting(world: World) -> None:
    world.model.says = lambda _: "**bold** " + "word " * 1000
    world.telegram.outcomes[5] = [Unknown()]
    world.telegram.go.clear()
    killed = world.bot()
    async with killed.live():
        await world.says(killed, "hello")
        await world.telegram.wait(lambda: bool(world.telegram.sends))
    world.model.says = lambda _: "never asked again"
    world.telegram.go.set()
    async with world.bot().live():
        delivered = await world.wait_delivered(5, 2)
    assert [text.split()[0] for text in delivered] == ["bold", "word"]
    assert world.telegram.formatting == [[{"type": "bold", "offset": 0, "length": 4}], None]
    assert len(world.model.turns) == 1


async def test_the_parts_of_a_long_code_block_are_code_each(world: World) -> None:
    bot = world.bot()
    world.model.says = lambda _: "```python\n" + "    line()\n" * 800 + "```"
    async with bot.live():
        await world.says(bot, "show me")
        parts = await world.wait_delivered(5, 3)
    assert [[entity["language"] for entity in entities] for entities in world.telegram.formatting] == [["python"]] * 3
    assert all(len(part) <= LIMIT and part.startswith("    line()") for part in parts)


async def test_what_a_bot_says_by_itself_is_no_markdown(world: World, monkeypatch) -> None:
    monkeypatch.setattr(texts, "STARTED", "*as it is*")
    bot = world.bot()
    async with bot.live():
        await world.says(bot, "/start")
        assert await world.wait_delivered(5, 1) == ["*as it is*"]


async def test_the_model_is_shown_its_earlier_answer_as_the_person_saw_it(world: World) -> None:
    bot = world.bot()
    world.model.says = lambda _: "**bold**"
    async with bot.live():
        await world.says(bot, "one")
        await world.wait_delivered(5, 1)
        await world.says(bot, "two", first=2)
        await world.wait_delivered(5, 2)
    assert world.model.prompts[1][1:] == ["one", "bold", "two"]
