"""What the simulator has answered is still there after a restart and after kill -9; clients go on as if nothing had been."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest
import yaml
from telethon import TelegramClient, functions
from telethon.crypto import AuthKey, rsa
from telethon.sessions import StringSession

from botfleet_simulator.launch import LaunchError, TelegramServer, telegram_server
from botfleet_simulator.person import Person
from tests.waiting import DEADLINE


async def client_of(server: TelegramServer, session: str) -> TelegramClient:
    rsa.add_key(server.public_key, old=False)
    client = TelegramClient(StringSession(session), 1, "x", connection_retries=None, retry_delay=0.1)
    await asyncio.wait_for(client.connect(), DEADLINE)
    return client


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
async def test_everything_is_there_again(tmp_path: Path, kill: bool):
    async with telegram_server(tmp_path / "state") as server:
        admin = server.admin
        bot = await admin.create_bot("lasting_bot", name="Lasting", privacy_mode=False)
        await admin.create_person("+99968000001", name="Lia", username="lia", password="second factor")
        group = await admin.create_group("Lasting", kind="supergroup", owner="lia", members=["lasting_bot"])
        basic = await admin.create_group("Small", owner="lia", members=["lasting_bot"])
        await admin.send_message("lia", "lasting_bot", "/start please")
        sent = await admin.send_message("lasting_bot", "lia", "an answer", reply_to=1)
        await admin.send_message("lia", group.id, "to all")
        gone = await admin.send_message("lia", basic.id, "gone soon")
        await admin.delete_messages("lia", basic.id, [gone.id])
        await admin.edit_message("lasting_bot", "lia", sent.id, "a better answer")
        await admin.block("lia", "lasting_bot")
        session = await admin.create_session("lasting_bot")
        before = [
            await admin.accounts(),
            await admin.chats(),
            await admin.messages("lia"),
            await admin.messages(bot.id),
        ]
        states = [await admin.state("lia"), await admin.state(bot.id)]
        key = server.public_key
        await server.restart(kill=kill)
        assert server.public_key == key
        after = [await admin.accounts(), await admin.chats(), await admin.messages("lia"), await admin.messages(bot.id)]
        assert after == before
        for old, new in zip(states, [await admin.state("lia"), await admin.state(bot.id)], strict=True):
            assert (new.pts, new.channels) == (old.pts, old.channels)
        client = await client_of(server, session)
        try:
            assert (await client.get_me()).id == bot.id
            difference = await client(functions.updates.GetDifferenceRequest(pts=1, date=None, qts=0))
            texts = [getattr(message, "message", None) for message in difference.new_messages]
            assert "/start please" in texts
            assert "a better answer" in texts
            assert "gone soon" not in texts
        finally:
            await client.disconnect()


async def test_a_random_id_is_remembered_over_kill_9(tmp_path: Path):
    async with telegram_server(tmp_path / "state") as server:
        admin = server.admin
        await admin.create_bot("memory_bot")
        await admin.create_person("+99968000002", username="mia")
        client = await client_of(server, await admin.create_session("mia"))
        request = functions.messages.SendMessageRequest(
            await client.get_input_entity("memory_bot"), "once", random_id=77
        )
        first = await client(request)
        await server.restart(kill=True)
        again = await asyncio.wait_for(client(request), DEADLINE)
        await client.disconnect()
        assert (again.id, again.pts) == (first.id, first.pts)
        assert [message.text for message in await admin.messages("memory_bot", "mia")] == ["once"]


@pytest.mark.timeout(300)
async def test_no_answered_message_is_lost_when_killed_in_the_middle(tmp_path: Path):
    async with telegram_server(tmp_path / "state") as server:
        admin = server.admin
        await admin.create_bot("busy_bot")
        await admin.create_person("+99968000003", username="bea")
        client = await client_of(server, await admin.create_session("bea"))
        peer = await client.get_input_entity("busy_bot")
        answered: list[int] = []

        async def send_all() -> None:
            for number in range(1, 301):
                await client(functions.messages.SendMessageRequest(peer, f"message {number}", random_id=number))
                answered.append(number)

        sending = asyncio.create_task(send_all())
        for count in (60, 150):
            await admin.wait_messages("busy_bot", "bea", count=count, timeout=DEADLINE)
            await server.kill()
            reported = len(answered)
            await server.start()
            there = {message.random_id for message in await admin.messages("busy_bot", "bea")}
            assert set(range(1, reported + 1)) <= there
        await asyncio.wait_for(sending, 120)
        await client.disconnect()
        texts = [message.text for message in await admin.messages("busy_bot", "bea")]
        assert texts == [f"message {number}" for number in range(1, 301)]


async def test_ids_and_pts_go_on_after_a_restart(tmp_path: Path):
    async with telegram_server(tmp_path / "state") as server:
        admin = server.admin
        await admin.create_bot("count_bot")
        await admin.create_person("+99968000004", username="cora")
        first = await admin.send_message("cora", "count_bot", "one")
        await server.restart(kill=True)
        second = await admin.send_message("cora", "count_bot", "two")
        assert first.pts is not None
        assert (second.id, second.pts) == (first.id + 1, first.pts + 1)


async def test_the_accounts_file_is_applied_at_every_start_and_takes_nothing_away(tmp_path: Path):
    session = StringSession()
    session.set_dc(2, "127.0.0.1", 443)
    session.auth_key = AuthKey(bytes(range(1, 256)) + b"\x07")
    accounts = {
        "bots": [{"id": 42, "token": "42:AAaTokenKnownBeforehand", "username": "known_bot", "name": "Known"}],
        "people": [
            {"id": 7, "phone": "+99968000005", "name": "Dora", "username": "dora", "session": session.save()},
            {"phone": "+99968000006", "name": "Eve", "password": "pw"},
        ],
        "groups": [
            {
                "id": 9,
                "kind": "supergroup",
                "title": "All",
                "owner": "dora",
                "members": ["known_bot"],
                "admins": ["known_bot"],
            }
        ],
    }
    async with telegram_server(tmp_path / "state", accounts=accounts) as server:
        admin = server.admin
        await admin.send_message("dora", "known_bot", "hello")
        await server.restart()
        assert [message.text for message in await admin.messages(42, 7)] == ["hello"]
        group = await admin.chat(-1000000000009)
        assert (group.members, group.admins) == ([7, 42], [7, 42])
        (known,) = await admin.sessions("dora")
        assert known.state == "authorized"
        client = TelegramClient(StringSession(), 1, "x")
        client.session.set_dc(2, server.host, server.port)
        rsa.add_key(server.public_key, old=False)
        await client.connect()
        assert (await client.sign_in(bot_token="42:AAaTokenKnownBeforehand")).username == "known_bot"
        await client.disconnect()


@pytest.mark.parametrize(
    ("accounts", "said"),
    [
        ({"bots": [{"id": 1, "token": "2:AAaaaaaaaaaaaa", "username": "b"}]}, "must begin with the bot's id"),
        ({"robots": []}, "robots"),
        ({"groups": [{"id": 1, "title": "T", "owner": "nobody"}]}, "nobody"),
    ],
)
async def test_a_wrong_accounts_file_is_named_and_nothing_starts(tmp_path: Path, accounts: dict, said: str):
    path = tmp_path / "accounts.yaml"
    path.write_text(yaml.safe_dump(accounts))
    with pytest.raises(LaunchError, match=said):
        async with telegram_server(tmp_path / "state", accounts=path):
            pass


async def test_the_process_says_when_it_is_ready_and_ends_on_sigterm(tmp_path: Path):
    command = [
        sys.executable,
        "-m",
        "botfleet_simulator",
        "telegram",
        "--state",
        str(tmp_path / "s"),
        "--port",
        "0",
        "--admin-port",
        "0",
    ]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    ready = json.loads(await asyncio.wait_for(process.stdout.readline(), DEADLINE))
    assert ready["event"] == "listening"
    public_key = await asyncio.to_thread(Path(ready["public_key"]).read_text)
    assert public_key.startswith("-----BEGIN RSA PUBLIC KEY-----")
    process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), DEADLINE)
    assert process.returncode == 0
    assert out == b""
    assert b"telegram.listening" in err


async def test_message_text_tokens_and_codes_are_in_no_log_line(tmp_path: Path):
    log = tmp_path / "log"
    async with telegram_server(tmp_path / "state", log=log) as server:
        admin = server.admin
        bot = await admin.create_bot("quiet_bot")
        await admin.create_person("+99968000007", username="fay")
        codes: list[str] = []

        async def read_code(phone: str) -> str:
            codes.append(await admin.code(phone))
            return codes[-1]

        person = Person(server.host, server.port, server.public_key, phone="+99968000007", code=read_code)
        async with person as fay:
            await fay.say("quiet_bot", "planted-secret-text")
    written = log.read_text()
    assert bot.token is not None
    assert "telegram.listening" in written
    for secret in ("planted-secret-text", bot.token, f'"{codes[0]}"', "99968000007"):
        assert secret not in written
