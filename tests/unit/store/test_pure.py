"""Decisions of the store that need no database."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botfleet.store.binding import Binding, gives_way
from botfleet.store.events import new_event_id
from botfleet.store.folding import clean, fold
from botfleet.store.lease import new_token
from botfleet.store.rows import Deletion, Edit, Incoming, Intake, PeerRow
from botfleet.store.schema import COMPATIBLE_FROM, REVISION, usable
from botfleet.store.statements import rowset

NOW = datetime(2026, 11, 1, tzinfo=UTC)
TERM = timedelta(seconds=60)

keys = st.tuples(st.integers(1, 3), st.integers(1, 3))
seconds = st.integers(0, 5)
messages = st.builds(
    lambda key, text, edited: Incoming(
        key[0], key[1], 1, None, text, NOW, "t", edit_date=None if edited is None else NOW + timedelta(seconds=edited)
    ),
    keys,
    st.text(max_size=3),
    st.none() | seconds,
)
edits = st.builds(
    lambda key, text, at: Edit(key[0], key[1], text, NOW + timedelta(seconds=at)), keys, st.text(max_size=3), seconds
)


@given(st.lists(messages, max_size=6), st.lists(edits, max_size=6), st.lists(keys, max_size=2))
def test_a_folded_batch_has_each_key_once_and_its_newest_text(
    given_messages: list[Incoming], given_edits: list[Edit], deleted: list[tuple[int, int]]
) -> None:
    gone = tuple(Deletion(message_id, peer_id) for peer_id, message_id in deleted)
    folded = fold(Intake(tuple(given_messages), tuple(given_edits), gone))
    message_keys = [(message.peer_id, message.message_id) for message in folded.messages]
    edit_keys = [(edit.peer_id, edit.message_id) for edit in folded.edits]
    assert message_keys == sorted({(message.peer_id, message.message_id) for message in given_messages})
    assert edit_keys == sorted(set(edit_keys))
    assert not set(edit_keys) & set(deleted)
    for message in folded.messages:
        versions = [
            edit for edit in given_edits if (edit.peer_id, edit.message_id) == (message.peer_id, message.message_id)
        ]
        if versions:
            assert message.edit_date is not None
            assert message.edit_date >= max(edit.edit_date for edit in versions)
    states = {(row["peer_id"], row["message_id"]): row["state"] for row in folded.message_rows()}
    assert {key for key, state in states.items() if state == "skipped"} == set(states) & set(deleted)


def test_the_last_access_hash_and_proof_of_a_batch_stand() -> None:
    folded = fold(Intake(peers=(PeerRow(1, 5), PeerRow(1, 6)), sent=((7, 1), (7, 2))))
    assert folded.peers == (PeerRow(1, 6),)
    assert folded.sent == ((7, 2),)


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_cleaned_text_can_be_stored_anywhere(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert clean(cleaned) == cleaned


def test_event_ids_are_uuids_of_version_7_that_rise() -> None:
    ids = [new_event_id() for _ in range(1000)]
    assert ids == sorted(set(ids))
    assert {(len(one), one[12], one[16] in "89ab") for one in ids} == {(32, "7", True)}


def test_tokens_are_64_bits_and_never_0() -> None:
    tokens = [new_token() for _ in range(1000)]
    assert len(set(tokens)) == len(tokens)
    assert all(-(2**63) <= token < 2**63 and token != 0 for token in tokens)
    assert min(tokens) < 0 < max(tokens)


@pytest.mark.parametrize(
    ("proved", "same", "alive", "free", "age", "expected"),
    [
        (True, False, True, True, 999, False),
        (False, False, True, True, 59, False),
        (False, False, True, False, 60, True),
        (False, True, True, True, 999, False),
        (True, False, False, True, 0, True),
        (True, True, False, True, 0, True),
        (True, False, False, False, 999, False),
        (False, False, False, False, 999, False),
    ],
)
def test_a_binding_gives_way_only_as_designed(
    proved: bool, same: bool, alive: bool, free: bool, age: int, expected: bool
) -> None:
    holder = Binding("bot:1", "other", "one", proved, NOW - timedelta(seconds=age))
    digest = "one" if same else "two"
    assert gives_way(holder, digest, alive=alive, lease_free=free, now=NOW, term=TERM) is expected


@pytest.mark.parametrize(
    ("revision", "compatible_from", "expected"),
    [
        ("0000", "0000", None),
        (REVISION, COMPATIBLE_FROM, True),
        (REVISION, "9999", True),
        ("9998", REVISION, True),
        ("9998", "9997", False),
    ],
)
def test_a_later_schema_is_usable_if_it_says_so(revision: str, compatible_from: str, expected: bool | None) -> None:
    assert usable(revision, compatible_from) is expected


def test_a_row_takes_only_what_json_and_times_can_say() -> None:
    assert rowset([{"at": NOW, "n": None}]) == '[{"at": "2026-11-01T00:00:00+00:00", "n": null}]'
    with pytest.raises(TypeError):
        rowset([{"x": object()}])
