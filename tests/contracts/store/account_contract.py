"""The account's stored session."""

from botfleet.store.account import AccountRepository
from botfleet.store.engine import Store
from botfleet.store.lease import Lease
from tests.contracts.store.samples import ACCOUNT


async def test_a_session_is_stored_before_it_is_known_to_be_authorized(store: Store, lease: Lease) -> None:
    account = AccountRepository(store, lease, ACCOUNT)
    assert await account.load() is None
    await account.save_session(b"\x00sealed", "digest")
    stored = await account.load()
    assert stored is not None
    assert (stored.account_id, stored.session, stored.credential_digest) == (ACCOUNT, b"\x00sealed", "digest")
    assert stored.authorized_at is None
    await account.mark_authorized("name")
    first = await account.load()
    await account.mark_authorized("name")
    assert await account.load() == first
    assert first is not None
    assert first.authorized_at is not None
    assert first.username == "name"


async def test_a_new_session_has_to_be_authorized_anew(store: Store, lease: Lease) -> None:
    account = AccountRepository(store, lease, ACCOUNT)
    await account.save_session(b"one", "digest")
    await account.mark_authorized(None)
    await account.save_session(b"two", "another")
    stored = await account.load()
    assert stored is not None
    assert (stored.session, stored.credential_digest, stored.authorized_at) == (b"two", "another", None)


async def test_a_discarded_session_leaves_the_time_of_the_last_token_login(store: Store, lease: Lease) -> None:
    account = AccountRepository(store, lease, ACCOUNT)
    await account.save_session(b"one", "digest")
    await account.note_token_login()
    await account.discard()
    stored = await account.load()
    assert stored is not None
    assert (stored.session, stored.authorized_at) == (None, None)
    assert stored.token_login_at is not None
