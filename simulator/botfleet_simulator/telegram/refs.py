"""How tests and files name accounts and chats: id, username or phone number.

It must never guess: what names nobody is an error.
"""

from botfleet_simulator.telegram.domain import Account, Chat
from botfleet_simulator.telegram.world import AbsentError, World


def peer_of(world: World, ref: int | str) -> int:
    """The marked id of an account or chat. Raises AbsentError."""
    if isinstance(ref, int) or ref.removeprefix("-").isdecimal():
        peer = int(ref)
        if peer not in world.accounts and peer not in world.chats:
            raise AbsentError(f"no account or chat {peer}")
        return peer
    if ref.startswith("+"):
        account = world.of_phone(ref)
        found = None if account is None else account.id
    else:
        found = world.named(ref)
    if found is None:
        raise AbsentError(f"no account or chat {ref!r}")
    return found


def account_of(world: World, ref: int | str) -> Account:
    """The account that a reference names. Raises AbsentError."""
    return world.account(peer_of(world, ref))


def chat_of(world: World, ref: int | str) -> Chat:
    """The chat that a reference names. Raises AbsentError."""
    return world.chat(peer_of(world, ref))
