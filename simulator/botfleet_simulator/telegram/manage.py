"""The verbs of chats: make, join, leave, promote, rename, move to a supergroup; and blocking.

They change the world, write the service messages that Telegram writes, and tell who is connected. Called by the API and by
the admin port alike; rights are the caller's business.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from telethon.tl import types

from botfleet_simulator.telegram.domain import Account, Chat, ChatKind, Member, bare_id, is_channel
from botfleet_simulator.telegram.messaging import Sent
from botfleet_simulator.telegram.render import View
from botfleet_simulator.telegram.world import now

if TYPE_CHECKING:
    from botfleet_simulator.telegram.connection import Connection
    from botfleet_simulator.telegram.server import Server

TOPIC_COLOUR = 0x6FB9F0


class Management:
    """Chats of one server."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._world = server.world

    def create(
        self,
        kind: ChatKind,
        title: str,
        creator: Account,
        members: Iterable[Account] = (),
        *,
        bare: int | None = None,
        username: str | None = None,
        origin: "Connection | None" = None,
    ) -> tuple[Chat, Sent]:
        """A new chat with its first service message. Raises TakenError."""
        chat = self._world.add_chat(kind, title, creator.id, bare=bare, username=username)
        invited = [account for account in members if account is not creator]
        for account in invited:
            chat.members[account.id] = Member(account.id, "member", creator.id, now())
        self._world.save_chat(chat)
        if is_channel(chat.id):
            sent = self._server.messaging.service(creator.id, chat, types.MessageActionChannelCreate(title))
        else:
            action = types.MessageActionChatCreate(title, [account.id for account in (creator, *invited)])
            sent = self._server.messaging.service(creator.id, chat, action)
        self._server.delivery.sent(sent, origin)
        for account in invited:
            self._tell_of_chat(chat, account.id)
        return chat, sent

    def add_member(
        self, chat: Chat, account: Account, inviter: Account, *, origin: "Connection | None" = None
    ) -> Sent | None:
        """Let somebody in; None when he is in already."""
        if account.id in chat.members:
            return None
        chat.members[account.id] = Member(account.id, "member", inviter.id, now())
        chat.banned.discard(account.id)
        self._changed(chat)
        self._tell_of_chat(chat, account.id)
        if chat.kind == "channel":
            return None
        return self._service(chat, inviter.id, types.MessageActionChatAddUser([account.id]), origin)

    def remove_member(
        self, chat: Chat, account: Account, actor: Account, *, ban: bool = False, origin: "Connection | None" = None
    ) -> Sent | None:
        """Put somebody out, or let him leave."""
        was_member = chat.members.pop(account.id, None) is not None
        if ban:
            chat.banned.add(account.id)
        self._changed(chat)
        self._tell_of_chat(chat, account.id)
        if chat.kind == "channel" or not was_member:
            return None
        action = types.MessageActionChatDeleteUser(account.id)
        also = () if is_channel(chat.id) else (account.id,)
        sent = self._server.messaging.service(actor.id, chat, action, also=also)
        self._server.delivery.sent(sent, origin)
        return sent

    def set_admin(self, chat: Chat, account: Account, *, admin: bool) -> None:
        """Promote or demote a member."""
        member = chat.members.get(account.id)
        if member is not None and member.role != "creator":
            member.role = "admin" if admin else "member"
            self._changed(chat)
            self._tell_of_chat(chat, account.id)

    def set_title(self, chat: Chat, title: str, actor: Account, *, origin: "Connection | None" = None) -> Sent:
        """Rename a chat."""
        chat.title = title
        self._changed(chat)
        return self._service(chat, actor.id, types.MessageActionChatEditTitle(title), origin)

    def migrate(self, chat: Chat, *, origin: "Connection | None" = None) -> Chat:
        """Turn a basic group into a supergroup with the same members; its pts begin at 1."""
        creator = self._world.account(chat.creator_id or next(iter(chat.members)))
        group = self._world.add_chat("supergroup", chat.title, creator.id)
        group.members = {
            m.account_id: Member(m.account_id, m.role, m.inviter_id, m.date) for m in chat.members.values()
        }
        group.migrated_from, chat.migrated_to = chat.id, group.id
        self._changed(group)
        self._changed(chat)
        self._service(chat, creator.id, types.MessageActionChatMigrateTo(bare_id(group.id)), origin)
        moved = types.MessageActionChannelMigrateFrom(chat.title, bare_id(chat.id))
        self._service(group, creator.id, moved, origin)
        for account_id in group.members:
            self._tell_of_chat(group, account_id)
        return group

    def set_forum(self, chat: Chat, *, forum: bool) -> None:
        """Make a supergroup a forum, or an ordinary one again."""
        chat.forum = forum
        self._changed(chat)
        for account_id in chat.members:
            self._tell_of_chat(chat, account_id)

    def create_topic(self, chat: Chat, title: str, actor: Account, *, origin: "Connection | None" = None) -> Sent:
        """Open a topic of a forum."""
        return self._service(chat, actor.id, types.MessageActionTopicCreate(title, TOPIC_COLOUR), origin)

    def link(self, channel: Chat, group: Chat) -> None:
        """From now on the channel's posts are discussed in the group."""
        channel.linked, group.linked = group.id, channel.id
        for chat in (channel, group):
            self._changed(chat)
            for account_id in chat.members:
                self._tell_of_chat(chat, account_id)

    def set_blocked(self, account: Account, other: Account, *, blocked: bool) -> None:
        """Block or unblock somebody."""
        if blocked:
            account.blocked.add(other.id)
        else:
            account.blocked.discard(other.id)
        self._world.save_account(account)

    def _service(self, chat: Chat, actor_id: int, action: object, origin: "Connection | None") -> Sent:
        sent = self._server.messaging.service(actor_id, chat, action)
        self._server.delivery.sent(sent, origin)
        return sent

    def _changed(self, chat: Chat) -> None:
        chat.version += 1
        self._world.save_chat(chat)

    def _tell_of_chat(self, chat: Chat, account_id: int) -> None:
        if not is_channel(chat.id):
            return

        def make(view: View) -> object:
            view.note(chat.id)
            return types.UpdateChannel(bare_id(chat.id))

        self._server.delivery.tell(account_id, make)
