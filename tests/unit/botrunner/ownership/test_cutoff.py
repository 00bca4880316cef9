"""When the time of a lease is over, its sockets are shut: by a thread, whatever the event loop does."""

import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from botrunner.ownership.clock import LeaseClock, now
from botrunner.ownership.cutoff import CutOff, LeaseOverError, keep_alive


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(10)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def cutoff() -> Iterator[CutOff]:
    made = CutOff(LeaseClock(60.0, now()))
    yield made
    made.close()


def test_sockets_are_shut_within_two_thirds_of_the_term_without_any_event_loop(pair):
    ours, theirs = pair
    began = now()
    cutoff = CutOff(LeaseClock(0.9, began))
    gate = cutoff.register(ours.fileno())
    assert theirs.recv(1) == b""  # returns when the connection is shut, or fails after ten seconds
    assert 0.55 <= now() - began <= 0.9
    gate.close()
    cutoff.close()


def test_a_renewal_moves_the_cut(pair):
    ours, theirs = pair
    clock = LeaseClock(0.9, now())
    cutoff = CutOff(clock)
    gate = cutoff.register(ours.fileno())
    time.sleep(0.2)
    renewed = now()
    assert clock.renewed(renewed)
    assert theirs.recv(1) == b""
    assert now() - renewed >= 0.55
    gate.close()
    cutoff.close()


def test_a_cut_is_at_once_and_for_good(pair, cutoff):
    ours, theirs = pair
    gate = cutoff.register(ours.fileno())
    cutoff.cut()
    assert theirs.recv(1) == b""
    assert not cutoff.may_act()
    with pytest.raises(LeaseOverError):
        cutoff.require()
    gate.close()


def test_nothing_is_registered_after_the_end_and_its_socket_is_shut(pair, cutoff):
    ours, theirs = pair
    cutoff.cut()
    with pytest.raises(LeaseOverError):
        cutoff.register(ours.fileno())
    assert theirs.recv(1) == b""


def test_the_refusal_is_an_error_that_telethon_takes_for_a_lost_link():
    assert issubclass(LeaseOverError, ConnectionError)


def test_a_reused_descriptor_is_not_shut(pair, cutoff):
    ours, theirs = pair
    number = ours.fileno()
    gate = cutoff.register(number)
    ours.close()
    stranger, friend = socket.socketpair()
    stranger_number = stranger.detach()
    os.dup2(stranger_number, number)  # the same number, another connection
    cutoff.cut()
    assert theirs.recv(1) == b""
    friend.sendall(b"x")
    assert os.read(number, 1) == b"x"
    for opened in {number, stranger_number}:
        os.close(opened)
    friend.close()
    gate.close()


def test_a_closed_gate_lets_the_peer_see_the_end(pair, cutoff):
    ours, theirs = pair
    gate = cutoff.register(ours.fileno())
    ours.close()
    gate.close()
    gate.close()
    assert theirs.recv(1) == b""


def test_closing_ends_the_thread(cutoff):
    cutoff.close()
    assert not [thread for thread in threading.enumerate() if thread is cutoff._thread]


def test_keep_alive_asks_the_kernel_to_notice_a_dead_network():
    with socket.socket() as connection:
        keep_alive(connection)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
