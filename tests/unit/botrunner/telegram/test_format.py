"""A long answer is split as a reader would, and nothing of it is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botrunner.telegram.format import LIMIT, split, utf16_length


def words(text: str) -> str:
    return "".join(text.split())


@given(st.text(max_size=300), st.integers(2, 40))
def test_no_part_is_too_long_or_empty_and_only_white_space_is_lost(text, limit):
    parts = split(text, limit)
    assert all(0 < utf16_length(part) <= limit for part in parts)
    assert words("".join(parts)) == words(text)


@given(st.text(alphabet="ab \n.😀👩\u200d🔬e\u0301", min_size=1, max_size=400))
def test_no_surrogate_pair_is_broken(text):
    for part in split(text, 16):
        part.encode("utf-8")


def test_a_short_text_is_one_part():
    assert split("hello") == ["hello"]


@pytest.mark.parametrize("text", ["", " ", "\n\n \t"])
def test_no_text_is_no_message(text):
    assert split(text) == []


def test_exactly_the_limit_is_one_message_and_one_more_is_two():
    assert split("x" * LIMIT) == ["x" * LIMIT]
    assert split("x" * (LIMIT + 1)) == ["x" * LIMIT, "x"]


def test_the_limit_counts_utf16_units():
    assert [utf16_length(part) for part in split("😀" * 2049)] == [4096, 2]


def test_a_paragraph_is_a_better_seam_than_a_line_a_line_than_a_sentence_a_sentence_than_a_word():
    assert split("one two\nthree\n\nfour five six", 20) == ["one two\nthree", "four five six"]
    assert split("one two. three\nfour five six", 20) == ["one two. three", "four five six"]
    assert split("one two. three four five", 20) == ["one two.", "three four five"]
    assert split("one two three four five", 20) == ["one two three four", "five"]


def test_a_seam_right_after_the_last_that_fits_is_used():
    assert split("abcde fghij", 5) == ["abcde", "fghij"]


def test_a_seam_that_leaves_the_part_nearly_empty_is_not_used():
    assert split("a\n\n" + "b" * 30, 20) == ["a\n\n" + "b" * 17, "b" * 13]


def test_an_emoji_is_not_torn_from_its_parts_nor_a_letter_from_its_accent():
    scientist = "👩\u200d🔬"
    assert split("aaaaaaa" + scientist, 10) == ["aaaaaaa", scientist]
    assert split("aaae\u0301", 4) == ["aaa", "e\u0301"]


def test_a_limit_that_no_character_fits_is_refused():
    with pytest.raises(ValueError, match="UTF-16"):
        split("x", 1)
