"""When the time of a lease is over, its sockets are shut: by a thread, whatever the event loop does."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from botrunner.ownership.clock import LeaseClock, now
from botrunner.ownership.cutoff import CutOff, Gate, LeaseOverError, keep_alive


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


@pytest.fixture
def shut_at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a gate was shut, by the word of the thread that shut it: another thread hears of it whenever it gets to run."""
    moments: list[float] = []
    shut = Gate.shut

    def stamped(gate: Gate) -> None:
        shut(gate)
        moments.append(now())

    monkeypatch.setattr(Gate, "shut", stamped)
    return moments


class Stopwatch:
    """A clock that stands until it is let go; however long the test takes until then, no time is over."""

    def __init__(self) -> None:
        self.shows = 1000.0
        self._began: float | None = None

    def __call__(self) -> float:
        return self.shows if self._began is None else self.shows + now() - self._began

    def go(self) -> float:
        """Returns when that was, as everybody else tells the time."""
        self._began = now()
        return self._began


def test_sockets_are_shut_within_two_thirds_of_the_term_without_any_event_loop(pair, shut_at):
    ours, theirs = pair
    watch = Stopwatch()
    cutoff = CutOff(LeaseClock(0.9, watch(), clock=watch))
    gate = cutoff.register(ours.fileno())
    began = watch.go()
    assert theirs.recv(1) == b""  # returns when the connection is shut, or fails after ten seconds
    cutoff._thread.join(10)
    assert 0.55 <= shut_at[0] - began <= 0.9
    gate.close()
    cutoff.close()


def test_a_renewal_moves_the_cut(pair, shut_at):
    ours, theirs = pair
    watch = Stopwatch()
    clock = LeaseClock(0.9, watch(), clock=watch)
    cutoff = CutOff(clock)
    gate = cutoff.register(ours.fileno())
    watch.shows += 0.2
    assert clock.renewed(watch())
    renewed = watch.go()
    with cutoff._changed:
        cutoff._changed.notify_all()  # so that it looks at the clock that has moved
    assert theirs.recv(1) == b""
    cutoff._thread.join(10)
    assert shut_at[0] - renewed >= 0.55
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
