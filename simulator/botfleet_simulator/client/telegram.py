"""The client of the Telegram simulator's admin port.

Accounts and chats are named by id, username or "+phone"; it must never keep state of its own.
"""

from collections.abc import Iterable
from typing import Any

from botfleet_simulator.client.http import UNSET, WAIT_SECONDS, AdminClient, given
from botfleet_simulator.client.media import Media
from botfleet_simulator.client.views import Account, Call, Chat, Connection, Fault, Message, Session, State

Ref = int | str


class TelegramAdmin(AdminClient):
    """Everything a test may do to a simulated Telegram."""

    # ---- accounts
    async def create_bot(
        self,
        username: str,
        *,
        name: str | None = None,
        id: int | None = None,  # noqa: A002
        token: str | None = None,
        privacy_mode: bool = True,
    ) -> Account:
        """A new bot; without `token` it gets one."""
        body = given(username=username, name=name, id=id, token=token, privacy_mode=privacy_mode)
        return Account.of(await self.call("POST", "/bots", body=body))

    async def create_person(
        self,
        phone: str,
        *,
        name: str = "Person",
        last_name: str | None = None,
        username: str | None = None,
        password: str | None = None,
        id: int | None = None,  # noqa: A002
    ) -> Account:
        """A new person; `password` is for 2FA."""
        body = given(phone=phone, name=name, last_name=last_name, username=username, password=password, id=id)
        return Account.of(await self.call("POST", "/people", body=body))

    async def accounts(self) -> list[Account]:
        """All accounts."""
        return [Account.of(item) for item in await self.call("GET", "/accounts")]

    async def account(self, ref: Ref) -> Account:
        """One account."""
        return Account.of(await self.call("GET", f"/accounts/{ref}"))

    async def update_account(self, ref: Ref, **changes: Any) -> Account:
        """Change name, username, password, privacy_mode, deactivated, banned, token or token_expired."""
        return Account.of(await self.call("PATCH", f"/accounts/{ref}", body=changes))

    async def create_session(self, ref: Ref) -> str:
        """A Telethon StringSession that is logged in already."""
        return str((await self.call("POST", f"/accounts/{ref}/sessions"))["session"])

    async def code(self, phone: str, *, timeout: float = WAIT_SECONDS) -> str:
        """The login code that was sent to a phone last; waits for one. Raises TimeoutError."""
        return str((await self.call("GET", f"/codes/{phone}", patience=timeout))["code"])

    async def login_link(self, *, after: str | None = None, timeout: float = WAIT_SECONDS) -> str:
        """What the newest QR code of a login says that is shown now (another one than `after`); waits for one.

        Raises TimeoutError.
        """
        found = await self.call("GET", "/login-links", query={"after": after}, patience=timeout)
        return str(found["links"][-1])

    async def scan(self, ref: Ref, link: str) -> None:
        """Let a person who is logged in elsewhere scan the QR code of a login, and let that client in."""
        await self.call("POST", f"/accounts/{ref}/scans", body={"link": link})

    async def block(self, by: Ref, blocked: Ref) -> None:
        """Let somebody block somebody."""
        await self.call("POST", "/blocks", body={"by": by, "blocked": blocked})

    async def unblock(self, by: Ref, blocked: Ref) -> None:
        """Take a block back."""
        await self.call("DELETE", "/blocks", body={"by": by, "blocked": blocked})

    async def state(self, ref: Ref) -> State:
        """Where an account's sequences stand."""
        data = await self.call("GET", f"/accounts/{ref}/state")
        return State.of({**data, "channels": {int(peer): pts for peer, pts in data["channels"].items()}})

    async def set_pts(self, ref: Ref, pts: int) -> None:
        """Set an account's pts back, as on a server restored from a backup."""
        await self.call("PUT", f"/accounts/{ref}/pts", body={"pts": pts})

    # ---- chats
    async def create_group(
        self,
        title: str,
        *,
        owner: Ref,
        kind: str = "basic",
        members: Iterable[Ref] = (),
        admins: Iterable[Ref] = (),
        username: str | None = None,
        id: int | None = None,  # noqa: A002
        forum: bool = False,
    ) -> Chat:
        """A new chat; kind: basic, supergroup or channel. `forum`: a supergroup with topics."""
        body = given(
            title=title, kind=kind, owner=owner, members=list(members), admins=list(admins), username=username, id=id,
            forum=forum,
        )  # fmt: skip
        return Chat.of(await self.call("POST", "/groups", body=body))

    async def chats(self) -> list[Chat]:
        """All chats."""
        return [Chat.of(item) for item in await self.call("GET", "/chats")]

    async def chat(self, ref: Ref) -> Chat:
        """One chat."""
        return Chat.of(await self.call("GET", f"/chats/{ref}"))

    async def update_chat(self, ref: Ref, **changes: Any) -> Chat:
        """Change title, slow_mode_seconds or write_forbidden."""
        return Chat.of(await self.call("PATCH", f"/chats/{ref}", body=changes))

    async def add_member(self, chat: Ref, account: Ref) -> Chat:
        """Let somebody in."""
        return Chat.of(await self.call("POST", f"/chats/{chat}/members", body={"account": account}))

    async def remove_member(self, chat: Ref, account: Ref) -> Chat:
        """Put somebody out."""
        return Chat.of(await self.call("DELETE", f"/chats/{chat}/members/{account}"))

    async def set_admin(self, chat: Ref, account: Ref, value: bool = True) -> Chat:
        """Promote or demote somebody."""
        return Chat.of(await self.call("PUT", f"/chats/{chat}/admins", body={"account": account, "value": value}))

    async def migrate_chat(self, chat: Ref) -> Chat:
        """Turn a basic group into a supergroup; returns the supergroup."""
        return Chat.of(await self.call("POST", f"/chats/{chat}/migrate"))

    async def create_topic(self, chat: Ref, title: str, *, account: Ref | None = None) -> int:
        """Open a topic of a forum, as its owner unless somebody is named; returns its id."""
        return int((await self.call("POST", f"/chats/{chat}/topics", body=given(title=title, account=account)))["id"])

    async def link_discussion(self, channel: Ref, group: Ref) -> Chat:
        """From now on a channel's posts are copied into a supergroup, and what replies to a copy there is a comment."""
        return Chat.of(await self.call("PUT", f"/chats/{channel}/discussion", body={"group": group}))

    async def set_channel_pts(self, chat: Ref, pts: int) -> None:
        """Set a channel's pts back."""
        await self.call("PUT", f"/chats/{chat}/pts", body={"pts": pts})

    # ---- messages
    async def send_message(
        self,
        sender: Ref,
        to: Ref,
        text: str,
        *,
        reply_to: int | None = None,
        topic: int | None = None,
        random_id: int | None = None,
    ) -> Message:
        """Send as if that account had sent it. `topic`: of a forum."""
        body = given(sender=sender, to=to, text=text, reply_to=reply_to, topic=topic, random_id=random_id)
        return Message.of(await self.call("POST", "/messages", body=body))

    async def send_media(
        self,
        sender: Ref,
        to: Ref,
        *media: Media,
        text: str = "",
        reply_to: int | None = None,
    ) -> Message:
        """Send photos, a voice note … as that account, several as an album; the text is the caption of the first, which is returned."""
        body = given(sender=sender, to=to, text=text, reply_to=reply_to, media=[one.body() for one in media])
        return Message.of(await self.call("POST", "/messages", body=body))

    async def edit_message(self, account: Ref, peer: Ref, message_id: int, text: str) -> Message:
        """Change a message as that account."""
        body = {"account": account, "peer": peer, "id": message_id, "text": text}
        return Message.of(await self.call("PATCH", "/messages", body=body))

    async def delete_messages(self, account: Ref, peer: Ref, ids: Iterable[int], *, revoke: bool = True) -> None:
        """Delete messages as that account."""
        body = {"account": account, "peer": peer, "ids": list(ids), "revoke": revoke}
        await self.call("DELETE", "/messages", body=body)

    async def messages(
        self,
        account: Ref,
        peer: Ref | None = None,
        *,
        after_id: int = 0,
        incoming: bool | None = None,
        limit: int = 10_000,
    ) -> list[Message]:
        """What is in that account's chat (without peer: in its private chats and basic groups), oldest first."""
        query = {"account": account, "peer": peer, "after_id": after_id, "incoming": incoming, "limit": limit}
        return [Message.of(item) for item in await self.call("GET", "/messages", query=query)]

    async def wait_messages(
        self,
        account: Ref,
        peer: Ref | None = None,
        *,
        count: int = 1,
        after_id: int = 0,
        incoming: bool | None = None,
        contains: str | None = None,
        timeout: float = WAIT_SECONDS,
    ) -> list[Message]:
        """Wait until that account's chat has so many such messages. Raises TimeoutError."""
        query = {
            "account": account,
            "peer": peer,
            "count": count,
            "after_id": after_id,
            "incoming": incoming,
            "contains": contains,
        }
        found = await self.call("GET", "/wait/messages", query=query, patience=timeout)
        return [Message.of(item) for item in found]

    # ---- sessions and connections
    async def sessions(self, account: Ref | None = None) -> list[Session]:
        """Authorization keys, of an account or all."""
        return [Session.of(item) for item in await self.call("GET", "/sessions", query={"account": account})]

    async def revoke_session(self, key_id: str, *, error: str = "AUTH_KEY_UNREGISTERED") -> None:
        """Kill one key: calls with it get that error; FORGET: transport error -404."""
        await self.call("DELETE", f"/sessions/{key_id}", query={"error": error})

    async def revoke_sessions(self, account: Ref, *, error: str = "AUTH_KEY_UNREGISTERED") -> int:
        """Kill all keys of an account; returns how many."""
        query = {"account": account, "error": error}
        return int((await self.call("DELETE", "/sessions", query=query))["revoked"])

    async def cut(self, account: Ref | None = None, *, key_id: str | None = None) -> int:
        """Cut live connections: an account's, a key's, or all; returns how many."""
        return int((await self.call("POST", "/cut", body=given(account=account, key_id=key_id)))["cut"])

    async def connections(self, account: Ref | None = None, *, receiving: bool | None = None) -> list[Connection]:
        """Live connections."""
        query = {"account": account, "receiving": receiving}
        return [Connection.of(item) for item in await self.call("GET", "/connections", query=query)]

    async def wait_connections(
        self,
        account: Ref | None = None,
        *,
        count: int = 1,
        exactly: bool = False,
        receiving: bool | None = None,
        timeout: float = WAIT_SECONDS,
    ) -> list[Connection]:
        """Wait until there are so many live connections (or exactly so many: 0 waits until all are gone)."""
        query = {"account": account, "count": count, "exactly": exactly, "receiving": receiving}
        found = await self.call("GET", "/wait/connections", query=query, patience=timeout)
        return [Connection.of(item) for item in found]

    # ---- calls
    async def calls(self, method: str = "*", account: Ref | None = None, *, after: int = 0) -> list[Call]:
        """Requests that came, oldest first (the newest 100,000 are kept)."""
        query = {"method": method, "account": account, "after": after}
        return [Call.of(item) for item in await self.call("GET", "/calls", query=query)]

    async def call_count(self, method: str = "*", account: Ref | None = None, *, after: int = 0) -> int:
        """How many such requests came."""
        query = {"method": method, "account": account, "after": after}
        return int((await self.call("GET", "/calls/count", query=query))["count"])

    async def last_call(self) -> int:
        """The number of the newest request; for `after`."""
        return int((await self.call("GET", "/calls/last"))["seq"])

    async def wait_for_call(
        self,
        method: str = "*",
        *,
        account: Ref | None = None,
        count: int = 1,
        after: int = 0,
        outcome: str = "*",
        timeout: float = WAIT_SECONDS,
    ) -> list[Call]:
        """Wait until so many such requests came. Raises TimeoutError."""
        query = {"method": method, "account": account, "count": count, "after": after, "outcome": outcome}
        return [Call.of(item) for item in await self.call("GET", "/wait/calls", query=query, patience=timeout)]

    async def reset_calls(self) -> None:
        """Forget the calls so far."""
        await self.call("DELETE", "/calls")

    # ---- faults and settings
    async def add_fault(
        self,
        effect: str,
        *,
        method: str = "*",
        account: Ref | None = None,
        times: Any = UNSET,
        skip: int = 0,
        seconds: float | None = None,
        **options: Any,
    ) -> Fault:
        """Switch a fault on. `times`: default 1, for lasting effects None (for ever); the rest as documented."""
        match = {"method": method, **({} if account is None else {"account": str(account)})}
        return await self._add_fault(effect, match, times=times, skip=skip, seconds=seconds, options=options)

    async def settings(self) -> dict[str, Any]:
        """The settings."""
        return dict(await self.call("GET", "/settings"))

    async def update_settings(self, **changes: Any) -> dict[str, Any]:
        """Change settings; returns all."""
        return dict(await self.call("PATCH", "/settings", body=changes))

    # ---- the server
    async def public_key(self) -> str:
        """The RSA key as PEM, for telethon.crypto.rsa.add_key."""
        return str(await self.call("GET", "/public-key"))

    async def info(self) -> dict[str, Any]:
        """Version, layer, port."""
        return dict(await self.call("GET", "/info"))
