"""messages.* that send photos and documents: alone, and several together as an album.

It must never decide what is allowed: the domain does.
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram import media
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.messaging import Draft, Sent
from botfleet_simulator.telegram.methods.messages import full_answer, known_mentions, own_change, repeated, replied_to
from botfleet_simulator.telegram.rpc import Context, method
from botfleet_simulator.telegram.session import random_id

F = functions.messages
ALBUM = 10


@method(F.UploadMediaRequest)
def upload_media(context: Context, request: Any) -> Any:
    """Keep a file without sending it: an album is made of such."""
    context.server.access.peer(context.me, request.peer)
    return media.shown(media.take(context.server.files, context.me.id, request.media))


@method(F.SendMediaRequest)
def send_media(context: Context, request: Any) -> Any:
    """Send a photo or a document with its caption."""
    if request.schedule_date is not None:
        raise RpcError("SCHEDULE_DATE_INVALID")
    server, me = context.server, context.me
    target = server.access.peer(me, request.peer)
    first = context.world.by_random_id.get((me.id, request.random_id))
    if first is not None:
        return repeated(context, first)
    draft = Draft(
        request.message,
        request.random_id,
        known_mentions(context, request.entities),
        *replied_to(request),
        request.reply_markup,
        silent=bool(request.silent),
        file_id=media.take(server.files, me.id, request.media).id,
    )
    sent = server.messaging.send(me, target, draft)
    server.delivery.sent(sent, context.connection)
    return full_answer(context, sent.post, own_change(context, sent))


@method(F.SendMultiMediaRequest)
def send_multi_media(context: Context, request: Any) -> Any:
    """Send up to ten together; they have one grouped_id."""
    if request.schedule_date is not None:
        raise RpcError("SCHEDULE_DATE_INVALID")
    if not 1 <= len(request.multi_media) <= ALBUM:
        raise RpcError("MULTI_MEDIA_TOO_LONG" if request.multi_media else "MEDIA_EMPTY")
    server, me = context.server, context.me
    target = server.access.peer(me, request.peer)
    together = abs(random_id())
    sents: list[Sent] = []
    for one in request.multi_media:
        draft = Draft(
            one.message,
            one.random_id,
            known_mentions(context, one.entities),
            *replied_to(request),
            silent=bool(request.silent),
            file_id=media.take(server.files, me.id, one.media).id,
            grouped_id=together,
        )
        sent = server.messaging.send(me, target, draft)
        if sent.repeated:
            raise RpcError("RANDOM_ID_DUPLICATE")
        sents.append(sent)
    view, updates = context.view(), []
    for sent in sents:
        server.delivery.sent(sent, context.connection)
        view.note(me.id, target)
        change = own_change(context, sent)
        updates += [
            types.UpdateMessageID(sent.post.copies[change.box.owner], sent.post.random_id),
            view.update(*change),
        ]
    return view.updates(updates)
