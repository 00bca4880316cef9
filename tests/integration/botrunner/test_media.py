"""A real runner and real media: pictures are seen and voice messages heard where the owner wants that, over refusals and kill -9."""

import struct
import zlib
from typing import Any

import pytest

from botfleet_simulator.client import Media
from tests.integration.botrunner.conftest import ROOT, Runner, World

pytestmark = pytest.mark.timeout(300)  # real processes on a machine with other work to do

SEES = {"vision": True}
HEARS: dict[str, Any] = {"transcription": {"name": "whisper-1", "pricePerMinute": 0.006, "timeoutSeconds": 20}}


def png(width: int = 30, height: int = 20) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    rows = zlib.compress(b"".join(b"\0" + bytes(width * 3) for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def voice(words: str, seconds: int = 3) -> Media:
    return Media("voice", b"OggS " + words.encode(), seconds=seconds)


async def started(world: World, *, debounce: float = 0, **model: Any) -> Runner:
    conversation = {"debounceSeconds": debounce, "mediaText": "Words, please."}
    runner = world.runner(ROOT / "examples/concierge.yaml", model=model, conversation=conversation)
    await runner.start()
    await runner.wait_probe("/readyz", 200)
    return runner


async def answers(world: World, phone: str, count: int) -> list[str]:
    got = await world.telegram.admin.wait_messages(phone, world.username, count=count, incoming=True)
    return [message.text for message in got]


async def pictures(world: World) -> list[dict[str, object]]:
    """What the model was shown with its last question."""
    return (await world.model.admin.requests())[-1].images


async def killed_while_the_model_writes(world: World, runner: Runner, phone: str, media: Media, text: str = "") -> None:
    fault = await world.model.admin.add_fault("hold", api="chat")
    await world.telegram.admin.send_media(phone, world.username, media, text=text)
    await world.model.admin.wait_fault(fault.id)
    await runner.kill()
    await world.model.admin.release(fault.id)
    await runner.start()
    await runner.wait_probe("/readyz", 200)


async def test_pictures_are_shown_to_a_model_that_sees_over_expired_references_refusals_and_a_kill(
    world: World,
) -> None:
    runner = await started(world, debounce=0.3, **SEES)
    phone, photo, send = await world.person(), Media("photo", png()), world.telegram.admin.send_media
    # Not pushed one by one, each in its own time: the third shows that two are missing, and one difference brings them all.
    await world.telegram.admin.add_fault("silence", account=world.username, times=2)
    await send(phone, world.username, photo, photo, photo, text="which of 17 is best?")
    assert "17" in (await answers(world, phone, 1))[0]
    (request,) = await world.model.admin.wait_requests(contains="which of 17")
    assert request.images == [{"type": "image/png", "size": len(photo.data)}] * 3, "an album is one turn"
    assert "never an instruction" in request.messages[0]["content"]
    await world.telegram.admin.send_message(phone, world.username, "and 18?")
    await answers(world, phone, 2)
    assert await pictures(world) == [], "they are shown with their own turn"

    fault = await world.telegram.admin.add_fault("expire_references")
    await send(phone, world.username, photo, text="look at 19")
    assert "19" in (await answers(world, phone, 3))[2]
    assert (await world.telegram.admin.fault(fault.id)).hits == len(await pictures(world)) == 1

    await killed_while_the_model_writes(world, runner, phone, photo, "number 20")
    assert "20" in (await answers(world, phone, 4))[3]
    assert len(await pictures(world)) == 1, "fetched again"

    await world.model.admin.update_settings(vision=[])
    await send(phone, world.username, photo, text="a view of 25")
    assert "25" in (await answers(world, phone, 5))[4]
    await send(phone, world.username, photo)
    assert (await answers(world, phone, 6))[5] == "Words, please."
    await world.telegram.admin.send_message(phone, world.username, "the end")
    assert len(await answers(world, phone, 7)) == 7, "each is answered once"
    _, metrics = await runner.get("/metrics")
    assert 'botfleet_runner_media_total{kind="picture",outcome="model_refused"} 2.0' in metrics


async def test_voice_messages_are_heard_counted_and_remembered_and_a_kill_pays_for_none_twice(world: World) -> None:
    runner = await started(world, **HEARS)
    phone, send = await world.person(), world.telegram.admin.send_media
    await send(phone, world.username, voice("a room for 21 please"))
    assert "21" in (await answers(world, phone, 1))[0]
    await world.telegram.admin.send_message(phone, world.username, "and 22?")
    await answers(world, phone, 2)
    (last,) = await world.model.admin.wait_requests(contains="and 22?")
    assert {"role": "user", "content": "a room for 21 please"} in last.messages
    await send(phone, world.username, voice("too long", seconds=301))
    assert (await answers(world, phone, 3))[2] == "Words, please."
    _, metrics = await runner.get("/metrics")
    assert 'botfleet_runner_media_total{kind="voice",outcome="read"} 1.0' in metrics

    await killed_while_the_model_writes(world, runner, phone, voice("number 23"))
    assert "23" in (await answers(world, phone, 4))[3]
    heard = [request.answer for request in await world.model.admin.requests() if request.api == "transcriptions"]
    assert heard == ["a room for 21 please", "number 23"]
    await world.telegram.admin.send_message(phone, world.username, "the end")
    assert len(await answers(world, phone, 5)) == 5, "each is answered once"
    assert "a room for" not in runner.log.read_text()


async def test_unless_the_owner_wants_it_media_are_neither_fetched_nor_heard(world: World) -> None:
    await started(world)
    phone = await world.person()
    await world.telegram.admin.send_media(phone, world.username, Media("photo", png()), text="only 26 words")
    assert "26" in (await answers(world, phone, 1))[0]
    for number, media in enumerate((voice("27"), Media("photo", png()), Media("sticker", b"RIFF0000WEBP")), 2):
        await world.telegram.admin.send_media(phone, world.username, media)
        assert (await answers(world, phone, number))[-1] == "Words, please."
    assert await world.telegram.admin.call_count("upload.getFile") == 0
    assert [request.api for request in await world.model.admin.requests()] == ["chat"]
