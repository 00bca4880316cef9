"""Accounts, chats and posts as the JSON documents that are stored, and back.

It must never decide anything: a document says what the object says.
"""

import json
from dataclasses import asdict
from typing import Any

from telethon.extensions import BinaryReader

from botfleet_simulator.telegram.domain import Account, Chat, Member, Password, Post


def dump_account(account: Account) -> str:
    """An account as JSON text."""
    data = asdict(account)
    data["blocked"] = sorted(account.blocked)
    if account.password is not None:
        data["password"] = {
            "salt1": account.password.salt1.hex(),
            "salt2": account.password.salt2.hex(),
            "verifier": hex(account.password.verifier),
        }
    return json.dumps(data)


def load_account(data: dict[str, Any]) -> Account:
    """The account of a document."""
    password = data.pop("password")
    account = Account(**data)
    account.blocked = set(account.blocked)
    account.commands = [(name, text) for name, text in account.commands]
    if password is not None:
        account.password = Password(
            bytes.fromhex(password["salt1"]), bytes.fromhex(password["salt2"]), int(password["verifier"], 16)
        )
    return account


def dump_chat(chat: Chat) -> str:
    """A chat as JSON text."""
    data = asdict(chat)
    data["members"] = [asdict(member) for member in chat.members.values()]
    data["banned"] = sorted(chat.banned)
    return json.dumps(data)


def load_chat(data: dict[str, Any]) -> Chat:
    """The chat of a document."""
    members = [Member(**member) for member in data.pop("members")]
    chat = Chat(**data)
    chat.members = {member.account_id: member for member in members}
    chat.banned = set(chat.banned)
    return chat


def dump_post(post: Post) -> str:
    """What a post says, without its copies, as JSON text. Empty fields are left out: posts are many."""
    data: dict[str, Any] = {"text": post.text, "date": post.date}
    for name in ("random_id", "reply_to", "top", "author", "edit_date", "file_id", "grouped_id"):
        if value := getattr(post, name):
            data[name] = value
    for name in ("silent", "as_channel"):
        if getattr(post, name):
            data[name] = True
    if post.entities:
        data["entities"] = [bytes(entity).hex() for entity in post.entities]
    for name in ("markup", "action", "forward"):
        if (value := getattr(post, name)) is not None:
            data[name] = bytes(value).hex()
    if post.mentions:
        data["mentions"] = sorted(post.mentions)
    return json.dumps(data)


def load_post(uid: int, sender_id: int, target: int, text: str) -> Post:
    """The post of a stored row."""
    data = json.loads(text)
    post = Post(uid=uid, sender_id=sender_id, target=target, date=data.pop("date"), text=data.pop("text"))
    post.entities = [_read(item) for item in data.pop("entities", ())]
    post.mentions = set(data.pop("mentions", ()))
    for name in ("markup", "action", "forward"):
        if name in data:
            setattr(post, name, _read(data.pop(name)))
    for name, value in data.items():
        setattr(post, name, value)
    return post


def _read(text: str) -> Any:
    with BinaryReader(bytes.fromhex(text)) as reader:
        return reader.tgread_object()
