"""What Telegram sends becomes what is stored: four forms of a message, edits, deletions, proofs of sends."""

from datetime import UTC, datetime, timedelta

from telethon.tl import types

from botfleet.store.rows import Deletion, Edit, Intake, Media, OwnMessage, PeerRow, UpdateState
from botrunner.telegram.entities import Entities
from botrunner.telegram.intake import Collector, Raw, is_empty, moved_states
from botrunner.telegram.types import OwnerTyping

ME = 777
DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC)
CHANNEL = -1000000002001


def message(number: int, text: str = "hi", **more):
    peer = more.pop("peer", types.PeerUser(5))
    return types.Message(id=number, peer_id=peer, date=more.pop("date", DATE), message=text, **more)


def collect(*updates, messages=(), entities=(), known=(), states=None):
    raw = Raw(messages=list(messages), updates=list(updates), entities=list(entities))
    return Collector(ME, Entities(known)).collect(raw, states or {})


def alice(access_hash: int = 9):
    return types.User(id=5, access_hash=access_hash)


def test_a_private_message_is_taken_in_with_its_senders_hash():
    intake = collect(types.UpdateNewMessage(message(17, "hello"), 2, 1), entities=[alice()])
    row = intake.messages[0]
    assert (row.peer_id, row.message_id, row.sender_id, row.access_hash, row.text, row.date) == (
        5,
        17,
        5,
        9,
        "hello",
        DATE,
    )
    assert len(row.trace_id) == 32
    assert intake.peers == (PeerRow(5, 9),)


def test_a_message_in_a_supergroup_has_the_groups_hash_and_its_writer():
    group = types.Channel(id=2001, title="t", photo=types.ChatPhotoEmpty(), date=DATE, access_hash=4, megagroup=True)
    update = types.UpdateNewChannelMessage(message(3, peer=types.PeerChannel(2001), from_id=types.PeerUser(5)), 2, 1)
    row = collect(update, entities=[group, alice()]).messages[0]
    assert (row.peer_id, row.sender_id, row.access_hash) == (CHANNEL, 5, 4)


def test_a_channels_post_has_no_writer():
    row = collect(types.UpdateNewChannelMessage(message(3, peer=types.PeerChannel(2001)), 2, 1)).messages[0]
    assert (row.sender_id, row.access_hash) == (None, None)


def test_a_short_message_takes_the_hash_that_is_known():
    update = types.UpdateShortMessage(id=17, user_id=5, message="hi", pts=2, pts_count=1, date=DATE)
    row = collect(update, known=[PeerRow(5, 9)]).messages[0]
    assert (row.peer_id, row.message_id, row.sender_id, row.access_hash, row.text) == (5, 17, 5, 9, "hi")


def test_a_short_message_of_a_stranger_is_stored_all_the_same():
    update = types.UpdateShortMessage(id=17, user_id=5, message="hi", pts=2, pts_count=1, date=DATE)
    assert collect(update).messages[0].access_hash is None


def test_a_short_group_message_is_the_groups():
    update = types.UpdateShortChatMessage(id=17, from_id=5, chat_id=30, message="hi", pts=2, pts_count=1, date=DATE)
    row = collect(update).messages[0]
    assert (row.peer_id, row.sender_id, row.access_hash) == (-30, 5, 0)


def test_replies_and_albums_are_noted():
    header = types.MessageReplyHeader(reply_to_msg_id=11)
    row = collect(types.UpdateNewMessage(message(17, reply_to=header, grouped_id=3), 2, 1)).messages[0]
    assert (row.reply_to_message_id, row.grouped_id) == (11, 3)
    story = types.MessageReplyStoryHeader(types.PeerUser(5), 1)
    assert collect(types.UpdateNewMessage(message(17, reply_to=story), 2, 1)).messages[0].reply_to_message_id is None


def test_our_own_words_service_messages_and_saved_messages_are_no_inbox_rows():
    joined = types.MessageService(17, types.PeerChat(3), DATE, types.MessageActionChatJoinedByLink(1))
    intake = collect(
        types.UpdateNewMessage(message(1, out=True), 2, 1),
        types.UpdateNewMessage(joined, 2, 1),
        types.UpdateNewMessage(types.MessageEmpty(id=18, peer_id=None), 2, 1),
        types.UpdateNewMessage(message(2, peer=types.PeerUser(ME)), 2, 1),
        types.UpdateShortMessage(id=3, user_id=5, message="hi", pts=2, pts_count=1, date=DATE, out=True),
    )
    assert is_empty(intake)


def test_what_a_difference_and_telethon_both_bring_is_one_message():
    first = message(17, "as the difference has it")
    intake = collect(types.UpdateNewMessage(message(17, "as Telethon has it"), 0, 0), messages=[first])
    assert [row.text for row in intake.messages] == ["as the difference has it"]


def test_edits_are_recorded_and_hidden_ones_are_not():
    edited = message(17, "better", edit_date=LATER)
    hidden = message(18, "same", edit_date=LATER, edit_hide=True)
    intake = collect(
        types.UpdateEditMessage(edited, 3, 1),
        types.UpdateEditMessage(hidden, 4, 1),
        types.UpdateEditMessage(message(19, out=True, edit_date=LATER), 5, 1),
    )
    assert intake.edits == (Edit(5, 17, "better", LATER),)
    in_channel = message(3, "x", peer=types.PeerChannel(2001), edit_date=LATER)
    assert collect(types.UpdateEditChannelMessage(in_channel, 3, 1)).edits == (Edit(CHANNEL, 3, "x", LATER),)


def test_deletions_name_their_chat_only_in_channels():
    intake = collect(types.UpdateDeleteMessages([1, 2], 3, 2), types.UpdateDeleteChannelMessages(2001, [3], 4, 1))
    assert intake.deletions == (Deletion(1), Deletion(2), Deletion(3, CHANNEL))


def test_a_message_id_proves_a_send():
    assert collect(types.UpdateMessageID(55, -12345)).sent == ((-12345, 55),)


def test_a_difference_is_taken_whole_and_the_latest_messages_of_a_too_long_one_are_not():
    raw = Raw()
    state = types.updates.State(5, 0, DATE, 0, 0)
    raw.add_difference(types.updates.Difference([message(1)], [], [types.UpdateMessageID(1, 2)], [], [alice()], state))
    raw.add_difference(types.updates.DifferenceEmpty(DATE, 0))
    dialog = types.Dialog(types.PeerChannel(2001), 1, 0, 0, 0, 0, 0, 0, types.PeerNotifySettings(), pts=9)
    raw.add_difference(types.updates.ChannelDifferenceTooLong(dialog, [message(2)], [], [], final=True))
    assert (len(raw.messages), len(raw.updates), len(raw.entities)) == (1, 1, 1)


def box(pts, channels=None, qts=0, seq=0, date=DATE):
    return {"pts": pts, "qts": qts, "date": date, "seq": seq}, channels or {}


def test_only_states_that_moved_are_stored():
    stored = {0: UpdateState(5, 0, DATE, 0), 2001: UpdateState(3), 2002: UpdateState(3)}
    moved = moved_states(stored, box(6, {2001: 4, 2002: 3}))
    assert moved == {0: UpdateState(6, 0, DATE, 0), 2001: UpdateState(4)}


def test_a_date_alone_is_no_movement_but_qts_and_seq_are():
    stored = {0: UpdateState(5, 0, DATE, 0)}
    assert moved_states(stored, box(5, date=LATER)) == {}
    assert moved_states(stored, box(5, qts=1))[0].qts == 1
    assert moved_states(stored, box(5, seq=1))[0].seq == 1


def test_no_state_is_not_stored_over_one():
    assert moved_states({0: UpdateState(5)}, box(0)) == {}


GROUP_ENTITY = types.Channel(
    id=2001, title="Guests", photo=types.ChatPhotoEmpty(), date=DATE, access_hash=4, megagroup=True
)


def in_group(number: int = 3, **more):
    sender = more.pop("from_id", types.PeerUser(5))
    return types.UpdateNewChannelMessage(message(number, peer=types.PeerChannel(2001), from_id=sender, **more), 2, 1)


def only(*updates, **given):
    (row,) = collect(*updates, **given).messages
    return row


def test_who_writes_in_a_group_is_noted_as_they_call_themselves():
    users = [types.User(id=5, first_name="Alice\n", last_name="B", username="alice", access_hash=9)]
    assert only(in_group(), entities=users).sender_name == "Alice B"
    assert only(in_group(), entities=[types.User(id=5, username="alice")]).sender_name == "alice"
    assert only(in_group(), entities=[types.User(id=5, first_name="Min", min=True)]).sender_name == "Min"
    assert only(in_group()).sender_name is None
    private = collect(types.UpdateNewMessage(message(17), 2, 1), entities=users).messages[0]
    assert private.sender_name is None, "there it is not needed"
    anonymous = in_group(from_id=types.PeerChannel(2001))
    row = only(anonymous, entities=[GROUP_ENTITY])
    assert (row.sender_id, row.sender_name, row.sender_kind) == (CHANNEL, "Guests", None), "an admin is a person"


def test_a_message_of_another_bot_or_by_way_of_one_is_noted_as_such():
    robot = types.User(id=5, bot=True, first_name="Robo", access_hash=9)
    assert only(in_group(), entities=[robot]).sender_kind == "bot"
    assert only(in_group(via_bot_id=8), entities=[alice()]).sender_kind == "bot"
    assert only(in_group(), entities=[alice()]).sender_kind is None
    short = types.UpdateShortChatMessage(id=18, from_id=5, chat_id=30, message="hi", pts=2, pts_count=1, date=DATE)
    collector = Collector(ME, Entities())
    collector.collect(Raw(entities=[robot]), {})
    (row,) = collector.collect(Raw(updates=[short]), {}).messages
    assert (row.sender_kind, row.sender_name) == ("bot", "Robo"), "who was seen before is known in a short form"


def test_a_channels_post_and_its_copy_in_the_discussion_group_are_noted_as_such():
    post = types.UpdateNewChannelMessage(message(3, peer=types.PeerChannel(2001), post=True), 2, 1)
    assert only(post).sender_kind == "channel"
    header = types.MessageFwdHeader(
        date=DATE, from_id=types.PeerChannel(2002), channel_post=7, saved_from_peer=types.PeerChannel(2002)
    )
    assert only(in_group(from_id=types.PeerChannel(2002), fwd_from=header)).sender_kind == "channel"
    assert only(in_group(fwd_from=header), entities=[alice()]).sender_kind is None, "a person forwards a post"


def test_a_message_for_this_account_is_noted():
    def named(user_id):
        return types.MessageEntityMentionName(0, 3, user_id)

    assert only(in_group(entities=[named(ME)])).mentioned
    assert not only(in_group(entities=[named(5), types.MessageEntityBold(0, 1)])).mentioned
    assert only(in_group(mentioned=True)).mentioned
    assert not only(in_group()).mentioned


def test_what_stands_in_a_topic_is_noted_with_it_and_answers_its_first_message_only_if_it_says_so():
    def header(**given):
        return in_group(reply_to=types.MessageReplyHeader(**given))

    def noted(update):
        row = only(update)
        return row.reply_to_message_id, row.topic_id

    assert noted(header(reply_to_msg_id=4, forum_topic=True)) == (None, 4)
    assert noted(header(reply_to_msg_id=9, reply_to_top_id=4, forum_topic=True)) == (9, 4)
    assert noted(header(reply_to_msg_id=9, reply_to_top_id=4)) == (9, None), "a thread is no topic"
    assert noted(header(reply_to_msg_id=9, reply_to_peer_id=types.PeerChannel(7))) == (None, None), "of another chat"
    assert noted(in_group()) == (None, None)


def test_where_a_channel_is_discussed_a_message_is_noted_with_the_thread_in_which_it_stands():
    def thread(has_link, **given):
        group = types.Channel(
            id=2001,
            title="t",
            photo=types.ChatPhotoEmpty(),
            date=DATE,
            access_hash=4,
            megagroup=True,
            has_link=has_link,
        )
        header = types.MessageReplyHeader(**given) if given else None
        more = {"peer": types.PeerChannel(2001), "from_id": types.PeerUser(5), "reply_to": header}
        row = collect(types.UpdateNewChannelMessage(message(3, **more), 2, 1), entities=[group]).messages[0]
        assert row.topic_id is None
        return row.thread_id

    assert thread(True, reply_to_msg_id=9, reply_to_top_id=4) == 4
    assert thread(True, reply_to_msg_id=4) == 4, "a comment on the post itself"
    assert thread(False, reply_to_msg_id=9, reply_to_top_id=4) is None, "other groups have no posts"
    assert thread(True) is None
    assert thread(True, reply_to_msg_id=9, reply_to_peer_id=types.PeerChannel(7)) is None, "of another chat"


def test_the_caption_of_a_picture_is_its_text_and_without_one_there_are_no_words():
    picture = types.MessageMediaPhoto(photo=types.PhotoEmpty(1))
    assert only(in_group(text="What is this?", media=picture)).text == "What is this?"
    assert only(in_group(text="", media=picture)).text == ""


OWNER = OwnerTyping(timedelta(minutes=60), lambda text: text == "/release")


def own(*updates, messages=(), owner=OWNER):
    raw = Raw(messages=list(messages), updates=list(updates))
    return Collector(ME, Entities([]), owner).collect(raw, {}).own


def test_what_the_account_itself_wrote_in_a_private_chat_is_told_in_each_form():
    short = types.UpdateShortMessage(id=18, user_id=5, message="b", pts=2, pts_count=1, date=DATE, out=True)
    found = own(
        types.UpdateNewMessage(message(17, "a", out=True), 2, 1), short, messages=[message(16, "/release", out=True)]
    )
    until = DATE + timedelta(minutes=60)
    assert found == (
        OwnMessage(5, 16, "/release", DATE, None),
        OwnMessage(5, 17, "a", DATE, until),
        OwnMessage(5, 18, "b", DATE, until),
    )


def test_what_no_owner_types_is_not_told():
    group = message(17, out=True, peer=types.PeerChat(9))
    saved = message(18, out=True, peer=types.PeerUser(ME))
    greeting = message(19, out=True, offline=True)
    service = types.MessageService(id=20, peer_id=types.PeerUser(5), date=DATE, action=None, out=True)
    assert own(messages=[group, saved, greeting, service, message(21)]) == ()
    assert own(messages=[message(22, out=True)], owner=None) == (), "a bot account has nobody who types"


def test_an_intake_of_the_owners_words_alone_is_not_empty():
    assert not is_empty(Intake(own=(OwnMessage(5, 16, "a", DATE, DATE),)))
    assert is_empty(Intake())


def test_a_message_is_taken_in_with_what_it_carries():
    attribute = types.DocumentAttributeAudio(7, voice=True)
    file = types.Document(3, 4, b"ref", DATE, "audio/ogg", 5000, 2, [attribute])
    intake = collect(types.UpdateNewMessage(message(17, "", media=types.MessageMediaDocument(document=file)), 2, 1))
    assert intake.messages[0].media == Media("voice", "audio/ogg", 5000, 7)
    assert collect(types.UpdateNewMessage(message(18), 3, 1)).messages[0].media is None


BROKEN = types.MessageMediaDocument(document=types.Document(3, 4, b"ref", DATE, "audio/ogg", 5000, 2, None))
"""A document without attributes: a form that Telegram's schema does not have, for all those of which nobody knows yet."""


def test_of_a_message_that_cannot_be_read_stays_who_says_what_to_whom_and_the_log_has_no_word_of_it(capsys):
    odd = message(17, "planted", media=BROKEN, grouped_id=3, edit_date=LATER)
    first, second = collect(types.UpdateNewMessage(odd, 2, 1), messages=[message(16)], entities=[alice()]).messages
    assert (first.message_id, first.media) == (16, None)
    assert (second.peer_id, second.message_id, second.sender_id, second.text) == (5, 17, 5, "planted")
    assert (second.access_hash, second.date, second.media) == (9, DATE, Media("other"))
    said = capsys.readouterr().out
    assert said.count("telegram.not_understood") == 1
    assert "planted" not in said
    robot = types.User(id=5, bot=True, access_hash=9)
    assert only(in_group(media=BROKEN), entities=[robot]).sender_kind == "bot", "who is not answered is not answered so"


def test_what_makes_no_sense_at_all_costs_itself_alone():
    wrong = types.PeerChannel(2**63 - 1)
    intake = collect(
        types.UpdateNewMessage(message(1, peer=types.PeerSettings()), 2, 1),
        types.UpdateNewChannelMessage(message(2, peer=wrong), 2, 1),
        types.UpdateEditMessage(message(3, peer=types.PeerSettings(), edit_date=LATER), 3, 1),
        types.UpdateDeleteChannelMessages(2**63 - 1, [4], 4, 1),
        types.UpdateDeleteMessages(None, 4, 1),
        types.UpdateNewMessage(message(5, out=True, peer=types.PeerSettings()), 2, 1),
        types.UpdateNewMessage(message(6), 2, 1),
        messages=[message(7, peer=types.PeerSettings()), message(8)],
        entities=[types.Channel(id=2**63 - 1, title="t", photo=None, date=DATE, access_hash=4), alice()],
    )
    assert [row.message_id for row in intake.messages] == [8, 6]
    assert (intake.edits, intake.deletions, intake.own) == ((), (), ())
    assert intake.peers == (PeerRow(5, 9),)
