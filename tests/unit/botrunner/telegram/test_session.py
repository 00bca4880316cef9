"""What a client begins with comes from the store; a session that cannot be read is refused."""

import socket
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from telethon.crypto import AuthKey
from telethon.crypto import rsa as telethon_rsa
from telethon.sessions import StringSession
from telethon.tl import types

from botfleet.conditions import Reason
from botfleet.store.rows import PeerRow, UpdateState
from botrunner.telegram import net
from botrunner.telegram.session import InboxSession, new_session, parse_session
from botrunner.telegram.types import RefusedError, Server, TryAgainError

DATE = datetime(2026, 1, 2, tzinfo=UTC)
CHANNEL = -1000000002001


def key_text() -> str:
    session = StringSession()
    session.set_dc(2, "127.0.0.1", 8443)
    session.auth_key = AuthKey(bytes(range(256)))
    return session.save()


def test_account_and_channels_begin_where_the_store_stands():
    states = {0: UpdateState(10, 2, DATE, 3), 2001: UpdateState(4)}
    session = InboxSession(key_text(), states, [PeerRow(CHANNEL, 99)])
    assert (session.server_address, session.port) == ("127.0.0.1", 8443)
    account = session.get_update_state(0)
    assert (account.pts, account.qts, account.date, account.seq) == (10, 2, DATE, 3)
    assert session.get_update_state(2001).pts == 4
    assert session.get_input_entity(2001) == types.InputPeerChannel(2001, 99)


def test_a_channel_without_a_hash_is_left_out_because_its_difference_cannot_be_asked_for():
    session = InboxSession(key_text(), {0: UpdateState(10), 2001: UpdateState(4)}, [])
    assert session.get_update_state(2001) is None
    with pytest.raises(ValueError, match="not known"):
        session.get_input_entity(2001)


def test_a_stored_state_is_never_taken_for_none():
    assert InboxSession(key_text(), {0: UpdateState(0)}, []).get_update_state(0).pts == 1


def test_people_are_not_collected():
    session = InboxSession(key_text(), {0: UpdateState(1)}, [])
    session.process_entities(types.contacts.ResolvedPeer(types.PeerUser(5), [], [types.User(id=5, access_hash=1)]))
    with pytest.raises(ValueError, match="not known"):
        session.get_input_entity(5)
    assert session.get_input_entity(types.InputPeerUser(5, 1)) == types.InputPeerUser(5, 1)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "1abc", "2" + key_text()[1:], key_text()[:-8], StringSession().save()]
)
def test_what_is_no_session_is_refused(text):
    with pytest.raises(RefusedError) as refused:
        parse_session(text, None, None)
    assert refused.value.reason is Reason.SESSION_INVALID


def test_a_session_without_a_key_is_refused():
    session = StringSession()
    session.set_dc(2, "127.0.0.1", 1)
    session.auth_key = AuthKey(bytes(256))
    with pytest.raises(RefusedError):
        parse_session(session.save(), None, None)


def test_the_manifests_server_goes_before_the_sessions():
    session = parse_session(key_text(), Server(2, "tg.example", 444), "10.0.0.9")
    assert (session.dc_id, session.server_address, session.port) == (2, "10.0.0.9", 444)
    assert parse_session(key_text(), None, None).server_address == "127.0.0.1"


def test_a_session_that_has_moved_to_another_data_center_keeps_its_address():
    session = parse_session(key_text(), Server(3, "tg.example", 444), "10.0.0.9")
    assert (session.dc_id, session.server_address) == (2, "127.0.0.1")


def test_a_new_session_has_no_key():
    assert not new_session(Server(3, "tg.example", 444), "10.0.0.9").auth_key
    assert new_session(None, None).server_address is None


async def test_a_host_name_is_resolved_and_ipv4_goes_first(monkeypatch):
    assert await net.resolve(Server(2, "localhost", 443)) == "127.0.0.1"
    assert await net.resolve(Server(2, "::1", 443)) == "::1"


async def test_a_name_that_cannot_be_resolved_is_tried_again(monkeypatch):
    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(TryAgainError):
        await net.resolve(Server(2, "nowhere.invalid", 443))


def test_a_servers_key_is_trusted_in_either_pem_form():
    key = rsa.generate_private_key(65537, 2048).public_key()
    for form in (PublicFormat.PKCS1, PublicFormat.SubjectPublicKeyInfo):
        net.trust(Server(2, "h", 1, key.public_bytes(Encoding.PEM, form).decode()))
    assert any(known.n == key.public_numbers().n for known, _ in telethon_rsa._server_keys.values())


def test_a_server_without_a_key_of_its_own_changes_nothing():
    before = dict(telethon_rsa._server_keys)
    net.trust(Server(2, "h", 1))
    assert telethon_rsa._server_keys == before


def test_what_is_no_rsa_key_is_refused():
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = elliptic.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    for text in ("nonsense", pem):
        with pytest.raises(RefusedError):
            net.trust(Server(2, "h", 1, text))
