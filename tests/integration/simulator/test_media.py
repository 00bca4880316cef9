"""Media of the simulated Telegram beyond what Telegram promises: kept over kill -9, bounded, and references that expire on demand."""

import os
from pathlib import Path

import pytest
from telethon import errors, functions, utils
from telethon.tl import types

from botfleet_simulator.client import AdminError, Media
from botfleet_simulator.launch import telegram_server
from botfleet_simulator.telegram import files
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.storage import Storage
from tests.integration.simulator.conftest import Bench
from tests.integration.simulator.test_state import client_of

PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (64).to_bytes(4) + (32).to_bytes(4) + os.urandom(100)


async def test_media_are_there_again_after_kill_9(tmp_path: Path):
    async with telegram_server(tmp_path / "state") as server:
        await server.admin.create_bot("lasting_bot")
        await server.admin.create_person("+99968000001", username="lia")
        data = os.urandom(5000)
        sent = await server.admin.send_media("lia", "lasting_bot", Media("voice", data, seconds=4), text="listen")
        assert sent.media == {"kind": "voice", "mime": "audio/ogg", "size": 5000}
        session = await server.admin.create_session("lasting_bot")
        await server.restart(kill=True)
        client = await client_of(server, session)
        try:
            difference = await client(functions.updates.GetDifferenceRequest(pts=1, date=None, qts=0))
            (message,) = difference.new_messages
            assert (message.message, message.file.duration) == ("listen", 4)
            assert await client.download_media(message, bytes) == data
        finally:
            await client.disconnect()


async def test_a_person_sends_an_album_through_the_admin_port(bench: Bench):
    bot, person = await bench.pair()
    first = await bench.admin.send_media(person.id, bot.id, Media("photo", PNG), Media("photo", PNG), text="two")
    got = await bench.admin.messages(bot.id, person.id)
    assert [(message.text, message.grouped_id) for message in got] == [
        ("two", first.grouped_id),
        ("", first.grouped_id),
    ]
    assert [message.media["kind"] for message in got if message.media] == ["photo", "photo"]
    with pytest.raises(AdminError, match="PHOTO_EXT_INVALID"):
        await bench.admin.send_media(person.id, bot.id, Media("photo", b"words"))


async def test_an_expired_reference_is_refused_until_the_message_is_asked_for_again(bench: Bench):
    bot, person = await bench.pair()
    await bench.admin.send_media(person.id, bot.id, Media("photo", PNG))
    client = await bench.client(bot)
    chat = (await client(functions.updates.GetDifferenceRequest(pts=1, date=None, qts=0))).new_messages[0].peer_id
    old = await client.get_messages(chat, ids=1)
    await bench.admin.add_fault("expire_references", account=bot.id)
    for _ in range(2):  # the fault met one call; the reference stays expired
        with pytest.raises(errors.FileReferenceExpiredError):
            await client(functions.upload.GetFileRequest(utils.get_input_location(old.media)[1], 0, 4096))
    new = await client.get_messages(chat, ids=1)
    assert (await client(functions.upload.GetFileRequest(utils.get_input_location(new.media)[1], 0, 4096))).bytes == PNG


def test_what_goes_beyond_a_bound_is_refused_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(files, "FILE_BYTES", 10)
    monkeypatch.setattr(files, "ALL_BYTES", 15)
    monkeypatch.setattr(files, "PARTS_BYTES", 4)
    kept = files.Files(Storage(tmp_path / "state.sqlite3"))
    kept.add("document", "text/plain", bytes(10))
    for size in (11, 6):
        with pytest.raises(RpcError, match=files.FULL):
            kept.add("document", "text/plain", bytes(size))
    kept.save_part(1, 7, 0, bytes(4))
    kept.save_part(1, 7, 0, bytes(3))  # the same part again takes its place
    kept.save_part(1, 7, 1, bytes(1))
    with pytest.raises(RpcError, match=files.FULL):
        kept.save_part(1, 7, 2, bytes(1))
    assert kept.take_upload(1, types.InputFile(7, 2, "x", "")) == bytes(4)
    kept.save_part(1, 8, 0, bytes(4))  # what was taken makes room
    with pytest.raises(RpcError, match="FILE_PART_1_MISSING"):
        kept.take_upload(1, types.InputFile(8, 2, "x", ""))
