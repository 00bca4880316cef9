"""An account's walks: away and back again, back to an older backup, to another TelegramBot. Nothing is lost or said twice on them."""

import shutil

import pytest

from tests.integration.botrunner.conftest import World
from tests.support.runner import ROOT, Runner

pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do
AT_ONCE = {"debounceSeconds": 0}


async def person_runner(world: World, owner: str, *, data: str = "data") -> Runner:
    """A runner of a person's account that answers at once."""
    await put_session(world, owner)
    return world.runner(
        ROOT / "examples/person.yaml", data=data, conversation=AT_ONCE, model={"baseUrl": world.model.base_url}
    )


async def put_session(world: World, owner: str) -> None:
    world.secret("assistant-session/session", await world.telegram.admin.create_session(owner))


async def named(world: World, phone: str, account: str, numbers: list[int]) -> None:
    """Each was named once, in order; what would be said twice comes before the answer to one more message."""
    before, world.username = world.username, account
    try:
        await world.named_once(phone, numbers)
    finally:
        world.username = before


async def write(world: World, phone: str, account: str, *numbers: int) -> None:
    for number in numbers:
        await world.telegram.admin.send_message(phone, account, f"message {number}")


async def serves(world: World, runner: Runner, account: str) -> None:
    """Until this account's updates come in."""
    await world.telegram.admin.wait_connections(account, receiving=True)
    await runner.wait_probe("/readyz", 200)


@pytest.mark.parametrize("who", ["bot", "person"])
async def test_a_secret_rotated_to_another_account_and_back_answers_each_accounts_messages_once(
    world: World, who: str
) -> None:
    admin, guest = world.telegram.admin, await world.person()
    if who == "bot":
        other = await admin.create_bot("other_bot")
        first, second = world.username, str(other.username)
        runner = world.runner(ROOT / "examples/concierge.yaml", conversation=AT_ONCE)
    else:
        owners = [await world.person(), await world.person()]
        first, second = "aigul", "bermet"
        for owner, username in zip(owners, (first, second), strict=True):
            await admin.update_account(owner, username=username)
        runner = await person_runner(world, owners[0])

    async def rotate(to: str) -> None:
        if who == "bot":
            world.secret("concierge/token", world.token if to == first else str(other.token))
        else:
            await put_session(world, owners[0] if to == first else owners[1])
        await serves(world, runner, to)
        await admin.wait_connections(second if to == first else first, count=0, exactly=True)

    await runner.start()
    await serves(world, runner, first)
    pid = runner.pid
    await write(world, guest, first, 101)
    await admin.wait_messages(guest, first, incoming=True, contains="101")
    await rotate(second)
    await write(world, guest, first, 102)  # for an account that nobody serves now
    await write(world, guest, second, 201)
    await admin.wait_messages(guest, second, incoming=True, contains="201")
    await rotate(first)
    await write(world, guest, second, 202)
    await named(world, guest, first, [101, 102])
    await rotate(second)
    await named(world, guest, second, [201, 202])
    assert runner.pid == pid
    assert await runner.stop() == 0


@pytest.mark.parametrize("who", ["bot", "person"])
async def test_after_a_restore_of_an_older_backup_what_was_answered_since_is_not_said_again_and_the_rest_is(
    world: World, who: str
) -> None:
    """What the account has written since comes with what was asked: that was answered. A /stop said since is in force again."""
    admin, guest, other = world.telegram.admin, await world.person(), await world.person()
    if who == "bot":
        account, runner = world.username, world.runner(ROOT / "examples/concierge.yaml", conversation=AT_ONCE)
    else:
        owner, account = await world.person(), "aigul"
        await admin.update_account(owner, username=account)
        runner = await person_runner(world, owner)
    await runner.start()
    await serves(world, runner, account)
    await write(world, guest, account, 101)
    await admin.wait_messages(guest, account, incoming=True, contains="101")
    assert await runner.stop() == 0
    shutil.copytree(world.folder / "data", world.folder / "backup")
    await runner.start()
    await serves(world, runner, account)
    await admin.send_message(other, account, "/stop")
    await admin.wait_messages(other, account, incoming=True, contains="not write to you")
    for number in (102, 103):
        await write(world, guest, account, number)
        await admin.wait_messages(guest, account, incoming=True, contains=str(number))
    assert await runner.stop() == 0
    shutil.rmtree(world.folder / "data")
    shutil.copytree(world.folder / "backup", world.folder / "data")
    await write(world, guest, account, 104)
    await write(world, other, account, 201)
    asked = await world.model.admin.last_request()
    await runner.start()
    await named(world, guest, account, [101, 102, 103, 104])
    (told,) = await admin.messages(other, account, incoming=True)
    assert "not write to you" in told.text
    first, _ = await world.model.admin.requests(after=asked)
    assert "104" in str(first.messages[-1]["content"])
    assert "102" in str(first.messages), "what was said by the run that is forgotten stands in the history"
    _, text = await runner.get("/metrics")
    assert 'botfleet_runner_messages_skipped_total{reason="AnsweredBefore"} 2.0' in text
    assert await runner.stop() == 0


@pytest.mark.parametrize("who", ["bot", "person"])
async def test_an_account_that_moves_to_another_telegrambot_is_answered_by_one_of_them_at_a_time(
    world: World, who: str
) -> None:
    """The new one has a store of its own and begins where Telegram stands: what the old one had answered is not answered again."""
    admin, guest = world.telegram.admin, await world.person()
    if who == "bot":
        account, manifest = world.username, ROOT / "examples/concierge.yaml"
        old, new = [world.runner(manifest, data=data, conversation=AT_ONCE) for data in ("old", "new")]
    else:
        owner, account = await world.person(), "aigul"
        await admin.update_account(owner, username=account)
        old, new = [await person_runner(world, owner, data=data) for data in ("old", "new")]
    await old.start()
    await serves(world, old, account)
    await write(world, guest, account, 101)
    await admin.wait_messages(guest, account, incoming=True, contains="101")
    await new.start()
    assert await new.ended() == 2, "while the old one has the account"
    assert await old.stop() == 0
    await new.start()
    await serves(world, new, account)
    await write(world, guest, account, 102)
    await named(world, guest, account, [101, 102])
    assert await new.stop() == 0


async def in_group(world: World, phone: str, chat: int, number: int) -> list[str]:
    """Asks there, addressed to the bot; all that the bot has said in that chat once this is answered."""
    admin = world.telegram.admin
    await admin.send_message(phone, chat, f"@{world.username} message {number}")
    await admin.wait_messages(phone, chat, incoming=True, contains=str(number))
    return [message.text for message in await admin.messages(phone, chat, incoming=True)]


@pytest.mark.parametrize("at", ["the model", "the send", "the kill"])
async def test_a_question_of_a_group_that_becomes_a_supergroup_is_answered_there_once(world: World, at: str) -> None:
    """Whatever was under way when the one became the other. Killed in a send, nobody can tell: it is not said again."""
    admin, model, guest = world.telegram.admin, world.model.admin, await world.person()
    group = await admin.create_group("Guests", kind="basic", owner=guest, members=[world.username])
    runner = world.runner(ROOT / "examples/concierge.yaml", conversation=AT_ONCE)
    await runner.start()
    await serves(world, runner, world.username)
    await in_group(world, guest, group.id, 101)
    asked = await model.last_request()
    if at == "the model":
        hold = await model.add_fault("hold")
    else:
        hold = await admin.add_fault("hold", method="messages.sendMessage", before=True)
    await admin.send_message(guest, group.id, f"@{world.username} message 102")
    await model.wait_requests(after=asked)
    if at != "the model":
        await admin.wait_fault(hold.id)
    new = await admin.migrate_chat(group.id)
    if at == "the kill":
        await runner.kill()
        await runner.start()
    await (model if at == "the model" else admin).release(hold.id)
    if at != "the kill":
        await admin.wait_messages(guest, new.id, incoming=True, contains="102")
    said = await in_group(world, guest, new.id, 103)
    assert sum("102" in text for text in said) == (0 if at == "the kill" else 1)
    assert sum("103" in text for text in said) == 1
    shown = [str(message["content"]) for message in (await model.requests())[-1].messages]
    assert any("101" in text for text in shown), "what was said in the group is remembered"
    assert await runner.stop() == 0
