"""users.* and contacts.*: who is who.

It must never show what the caller may not know (other people's phone numbers).
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.access import to_peer
from botfleet_simulator.telegram.domain import Account
from botfleet_simulator.telegram.envelope import vector
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.render import user
from botfleet_simulator.telegram.rpc import TRUE, Context, method

U, C = functions.users, functions.contacts


@method(U.GetUsersRequest)
def get_users(context: Context, request: Any) -> Any:
    """Users by input peers; unknown ones are empty."""
    found = []
    for given in request.id:
        try:
            found.append(user(context.server.access.user(context.me, given), context.me))
        except RpcError:
            found.append(types.UserEmpty(getattr(given, "user_id", 0)))
    return vector(found)


@method(U.GetFullUserRequest)
def get_full_user(context: Context, request: Any) -> Any:
    """One user in full."""
    account = context.server.access.user(context.me, request.id)
    return types.users.UserFull(
        full_user=types.UserFull(
            id=account.id,
            settings=types.PeerSettings(),
            notify_settings=types.PeerNotifySettings(),
            common_chats_count=_common_chats(context, account),
            blocked=(account.id in context.me.blocked) or None,
            about=account.about,
            bot_info=bot_info(account) if account.is_bot else None,
        ),
        chats=[],
        users=[user(account, context.me)],
    )


@method(C.ResolveUsernameRequest)
def resolve_username(context: Context, request: Any) -> Any:
    """A username's owner."""
    peer = context.world.named(request.username)
    if peer is None:
        raise RpcError("USERNAME_NOT_OCCUPIED")
    return _resolved(context, peer)


@method(C.ResolvePhoneRequest, bots=False)
def resolve_phone(context: Context, request: Any) -> Any:
    """A phone number's owner."""
    account = context.world.of_phone(request.phone)
    if account is None:
        raise RpcError("PHONE_NOT_OCCUPIED")
    return _resolved(context, account.id)


@method(C.GetContactsRequest, bots=False)
def get_contacts(context: Context, request: Any) -> Any:
    """Nobody keeps contacts here."""
    return types.contacts.Contacts([], 0, [])


@method(C.BlockRequest, bots=False)
def block(context: Context, request: Any) -> Any:
    """Block somebody; a bot is told."""
    return _set_blocked(context, request, blocked=True)


@method(C.UnblockRequest, bots=False)
def unblock(context: Context, request: Any) -> Any:
    """Unblock somebody; a bot is told."""
    return _set_blocked(context, request, blocked=False)


def _set_blocked(context: Context, request: Any, *, blocked: bool) -> Any:
    account = context.server.access.user(context.me, request.id)
    context.server.manage.set_blocked(context.me, account, blocked=blocked)
    return TRUE


def _resolved(context: Context, peer: int) -> Any:
    view = context.view()
    view.note(peer)
    return types.contacts.ResolvedPeer(to_peer(peer), view.chats(), view.users())


def _common_chats(context: Context, account: Account) -> int:
    mine = context.me.id
    return sum(1 for chat in context.world.chats.values() if mine in chat.members and account.id in chat.members)


def bot_info(account: Account) -> Any:
    """A bot's commands as clients show them."""
    commands = [types.BotCommand(name, text) for name, text in account.commands]
    return types.BotInfo(user_id=account.id, commands=commands, description=account.about)
