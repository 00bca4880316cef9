"""Accounts, chats, messages, sessions and calls as JSON.

It must never show a 2FA password or an auth key.
"""

from dataclasses import asdict
from typing import Any

from botfleet_simulator.telegram.connection import Connection
from botfleet_simulator.telegram.domain import Account, Box, Chat, Post, bare_id
from botfleet_simulator.telegram.media import kind_of
from botfleet_simulator.telegram.rpc import Call
from botfleet_simulator.telegram.server import Server
from botfleet_simulator.telegram.session import KeyRecord


def account(account: Account) -> dict[str, Any]:
    """An account."""
    return {
        "id": account.id,
        "kind": account.kind,
        "name": account.first_name,
        "last_name": account.last_name,
        "username": account.username,
        "phone": f"+{account.phone}" if account.phone else None,
        "token": account.token,
        "token_expired": account.token_expired,
        "privacy_mode": account.privacy_mode,
        "has_password": account.password is not None,
        "deactivated": account.deactivated,
        "banned": account.banned,
        "blocked": sorted(account.blocked),
        "commands": [{"command": name, "description": text} for name, text in account.commands],
    }


def chat(chat: Chat) -> dict[str, Any]:
    """A chat."""
    return {
        "id": chat.id,
        "bare_id": bare_id(chat.id),
        "kind": chat.kind,
        "title": chat.title,
        "username": chat.username,
        "members": list(chat.members),
        "admins": [member.account_id for member in chat.members.values() if member.role != "member"],
        "slow_mode_seconds": chat.slow_mode_seconds,
        "write_forbidden": chat.write_forbidden,
        "migrated_to": chat.migrated_to,
        "migrated_from": chat.migrated_from,
        "forum": chat.forum,
        "linked": chat.linked,
    }


def message(server: Server, owner: int, box: Box, post: Post, *, pts: int | None) -> dict[str, Any]:
    """A post as one account has it."""
    replied = server.world.posts.get(post.reply_to)
    return {
        "id": post.copies[box.owner],
        "account_id": owner,
        "peer_id": post.peer_for(owner),
        "sender_id": post.sender_id,
        "out": post.sender_id == owner,
        "date": post.date,
        "text": post.text,
        "entities": [_entity(entity) for entity in post.entities],
        "reply_to": replied.copies.get(box.owner) if replied is not None else None,
        "topic": post.top or None,
        "random_id": post.random_id,
        "edit_date": post.edit_date or None,
        "pts": pts,
        "media": _media(server, post),
        "grouped_id": post.grouped_id or None,
        "service": None if post.action is None else type(post.action).__name__.removeprefix("MessageAction"),
    }


def session(record: KeyRecord, connections: int) -> dict[str, Any]:
    """An authorization key, without the key."""
    return {
        "key_id": record.name,
        "account_id": record.account_id,
        "created": record.created,
        "device_model": record.device_model,
        "system_version": record.system_version,
        "app_version": record.app_version,
        "api_id": record.api_id,
        "layer": record.layer,
        "connections": connections,
        "state": record.error or ("authorized" if record.account_id is not None else "unauthorized"),
    }


def connection(connection: Connection) -> dict[str, Any]:
    """A live connection."""
    key = connection.key
    return {
        "id": connection.number,
        "key_id": None if key is None else key.name,
        "account_id": None if key is None else key.account_id,
        "receiving": connection.receiving,
        "opened": connection.opened,
    }


def call(call: Call) -> dict[str, Any]:
    """A request that came."""
    return asdict(call)


def _media(server: Server, post: Post) -> dict[str, Any] | None:
    file = server.files.get(post.file_id) if post.file_id else None
    return None if file is None else {"kind": kind_of(file), "mime": file.mime, "size": file.size}


def _entity(entity: Any) -> dict[str, Any]:
    shown = {
        "type": type(entity).__name__.removeprefix("MessageEntity"),
        "offset": entity.offset,
        "length": entity.length,
    }
    for name in ("url", "user_id", "language"):
        if (value := getattr(entity, name, None)) is not None:
            shown[name] = value
    return shown
