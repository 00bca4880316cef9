"""A long answer is split as a reader would, nothing of it is lost, and its formatting goes on in the next part."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botrunner.telegram import format as formatting
from botrunner.telegram.format import LIMIT
from botrunner.telegram.formatted import Formatted, Kind, Span, tidy, utf16_length


def split(text: str, limit: int = LIMIT) -> list[str]:
    """Of a text without formatting."""
    parts = formatting.split(Formatted(text), limit)
    assert all(part.spans == () for part in parts)
    return [part.text for part in parts]


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


def test_the_best_seam_is_used_although_it_begins_right_after_the_last_that_fits():
    assert split("aa bb\n\ncc", 5) == ["aa bb", "cc"]


@pytest.mark.parametrize("seam", ["\n\n", "\n \n", "\n" + " " * 30 + "\n"])
def test_a_paragraph_that_ends_with_the_last_that_fits_is_kept_with_those_before_it(seam):
    assert split(f"aa bb.\n\ncc dd.{seam}ee", 14) == ["aa bb.\n\ncc dd.", "ee"]


def test_a_seam_before_three_tenths_of_a_part_is_no_good_one():
    assert split("abcd\n\nefgh ijkl mnop qrst", 20) == ["abcd\n\nefgh ijkl mnop", "qrst"]
    assert split("abcdef\n\nef gh ij kl mn", 20) == ["abcdef", "ef gh ij kl mn"]
    later = "abcdefgh\n\nijk lmn opq rst"
    assert split("x" * 20 + later, 20) == ["x" * 20, "abcdefgh", "ijk lmn opq rst"], "of that part, not of the text"


def test_a_seam_that_leaves_the_part_nearly_empty_is_not_used():
    assert split("a\n\n" + "b" * 30, 20) == ["a\n\n" + "b" * 17, "b" * 13]


def test_an_emoji_is_not_torn_from_its_parts_nor_a_letter_from_its_accent():
    scientist = "👩\u200d🔬"
    assert split("aaaaaaa" + scientist, 10) == ["aaaaaaa", scientist]
    assert split("aaae\u0301", 4) == ["aaa", "e\u0301"]


def test_what_is_longer_than_a_message_and_still_one_character_is_cut_where_the_message_ends():
    assert split("e" + "\u0301" * 5, 4) == ["e" + "\u0301" * 3, "\u0301" * 2]


def test_a_later_part_ends_at_a_seam_like_the_first():
    assert split("one two three four five six seven", 10) == ["one two", "three four", "five six", "seven"]


@pytest.mark.parametrize("before", ["a ", "ab "])
def test_a_character_longer_than_a_message_is_cut_wherever_it_begins(before):
    assert split(f"{before}e{chr(0x301) * 6}", 4) == [before.strip(), "e" + chr(0x301) * 3, chr(0x301) * 3]


def test_a_limit_that_no_character_fits_is_refused():
    with pytest.raises(ValueError, match="UTF-16"):
        split("x", 1)


# -- with formatting


@st.composite
def formatted(draw: st.DrawFn) -> Formatted:
    text = draw(st.text(alphabet="ab.\n \t😀e\u0301", max_size=120))
    place = st.integers(0, len(text))
    spans = draw(st.lists(st.builds(Span, st.sampled_from(list(Kind)), place, place), max_size=8))
    links = (replace(span, value="https://a.example") if span.kind is Kind.LINK else span for span in spans)
    return Formatted(text, tidy(text, links))


def marked(whole: Formatted) -> list[tuple[str, frozenset[tuple[Kind, str]]]]:
    """Each character that is no white space, with what is said of it."""
    return [
        (character, frozenset((span.kind, span.value) for span in whole.spans if span.start <= at < span.end))
        for at, character in enumerate(whole.text)
        if not character.isspace()
    ]


@settings(max_examples=50, deadline=None)
@given(formatted(), st.integers(2, 40))
def test_each_character_keeps_its_formatting_whatever_the_part_it_comes_into(whole, limit):
    parts = formatting.split(whole, limit)
    assert [one for part in parts for one in marked(part)] == marked(whole)
    assert all(part.text.strip() and utf16_length(part.text) <= limit for part in parts)


@settings(max_examples=30, deadline=None)
@given(formatted(), st.integers(2, 40))
def test_a_part_is_split_no_further_and_its_entities_lie_within_it(whole, limit):
    for part in formatting.split(whole, limit):
        assert formatting.split(part, limit) == [part]
        for entity in part.entities() or []:
            assert entity["offset"] >= 0
            assert 0 < entity["length"] <= utf16_length(part.text) - entity["offset"]


def test_bold_that_crosses_a_cut_is_bold_in_both_parts():
    whole = Formatted("one two three", (Span(Kind.BOLD, 4, 13),))
    assert formatting.split(whole, 8) == [
        Formatted("one two", (Span(Kind.BOLD, 4, 7),)),
        Formatted("three", (Span(Kind.BOLD, 0, 5),)),
    ]


def test_a_code_block_goes_on_in_its_language_and_keeps_the_indentation_of_the_line_at_the_cut():
    code = "if something:\n    one(argument)\n    two(argument)"
    parts = formatting.split(Formatted(code, (Span(Kind.PRE, 0, len(code), "python"),)), 40)
    assert [part.text for part in parts] == ["if something:\n    one(argument)", "    two(argument)"]
    assert [part.spans for part in parts] == [(Span(Kind.PRE, 0, len(part.text), "python"),) for part in parts]


def test_white_space_with_which_a_code_block_ends_is_no_indentation():
    code = "some code\n    "
    parts = formatting.split(Formatted(f"{code}text", (Span(Kind.PRE, 0, len(code)),)), 12)
    assert [part.text for part in parts] == ["some code", "text"]


def test_what_comes_before_a_code_block_is_no_indentation():
    text = "one two\n   "
    parts = formatting.split(Formatted(f"{text}code", (Span(Kind.PRE, len(text), len(text) + 4),)), 9)
    assert [part.text for part in parts] == ["one two", "code"]
    text = "a" * 20 + "\n  " + "c" * 12  # few enough to be kept, if they were of the block
    parts = formatting.split(Formatted(text, (Span(Kind.PRE, 23, len(text)),)), 24)
    assert [part.text for part in parts] == ["a" * 20, "c" * 12]


@pytest.mark.parametrize("kind", [Kind.STRIKE, Kind.LINK])
def test_white_space_at_a_seam_of_other_formatted_text_is_no_indentation(kind):
    text = "a" * 20 + "\n  " + "b" * 20
    assert [part.text for part in formatting.split(Formatted(text, (Span(kind, 0, len(text)),)), 24)] == [
        "a" * 20,
        "b" * 20,
    ]


def test_nor_is_that_of_a_line_before_a_code_block():
    text = "a" * 20 + "\n  " + "b" * 12 + "\ncode"
    parts = formatting.split(Formatted(text, (Span(Kind.PRE, len(text) - 4, len(text)),)), 24)
    assert [part.text for part in parts] == ["a" * 20, "b" * 12 + "\ncode"]


def test_the_indentation_of_a_code_block_begins_where_the_block_does():
    text = "x" * 20 + "   code\ntail"
    parts = formatting.split(Formatted(text, (Span(Kind.PRE, 21, 27), Span(Kind.PRE, 28, 32))), 22)
    assert [part.text for part in parts] == ["x" * 20, "  code\ntail"]


def test_a_code_block_of_white_space_alone_makes_no_part_without_a_word():
    code = "a\n" + " " * 100 + "\n" + " " * 100 + "b"
    parts = formatting.split(Formatted(code, (Span(Kind.PRE, 0, len(code)),)), 16)
    assert [part.text for part in parts] == ["a", "b"]


@pytest.mark.parametrize(("limit", "indented", "kept"), [(64, 8, True), (64, 9, False), (56, 7, True), (56, 8, False)])
def test_indentation_of_more_than_an_eighth_of_a_message_is_not_kept(limit, indented, kept):
    code = "a" * (limit - 10) + "\n" + " " * indented + "b" * 20
    parts = formatting.split(Formatted(code, (Span(Kind.PRE, 0, len(code)),)), limit)
    assert [part.text for part in parts] == ["a" * (limit - 10), " " * indented * kept + "b" * 20]


@pytest.mark.parametrize("code", [10, 54, 59], ids=["long over", "over with its line", "over with the white space"])
def test_white_space_after_a_code_block_is_no_indentation(code):
    text = "a" * 54 + "\n    " + "b" * 20
    parts = formatting.split(Formatted(text, (Span(Kind.PRE, 0, code),)), 64)
    assert [part.text for part in parts] == ["a" * 54, "b" * 20]


def test_a_message_has_as_many_characters_as_telegram_takes():
    assert split("a" * 4096) == ["a" * 4096]
    assert split("a" * 4097) == ["a" * 4096, "a"]


def test_before_a_character_that_is_longer_than_a_message_the_part_ends():
    longer = "e" + "\u0301" * 30
    assert split("a" + longer, 20)[0] == "a"


def test_offsets_and_lengths_are_counted_in_utf16_units():
    assert Formatted("😀 a😀", (Span(Kind.BOLD, 2, 4),)).entities() == [{"type": "bold", "offset": 3, "length": 3}]


def test_what_goes_with_an_entity_is_stored_under_its_own_name():
    spans = (Span(Kind.LINK, 0, 1, "https://a.example"), Span(Kind.PRE, 1, 2, "python"), Span(Kind.PRE, 2, 3))
    assert Formatted("abc", spans).entities() == [
        {"type": "text_link", "offset": 0, "length": 1, "url": "https://a.example"},
        {"type": "pre", "offset": 1, "length": 1, "language": "python"},
        {"type": "pre", "offset": 2, "length": 1},
    ]
    assert Formatted("abc").entities() is None


def test_no_message_has_more_entities_than_telegram_takes():
    whole = Formatted("a " * 200, tuple(Span(Kind.BOLD, 2 * n, 2 * n + 1) for n in range(200)))
    assert len(whole.entities() or []) == 100


def test_styles_give_way_to_code_code_to_a_link_and_a_quote_has_no_quote_within():
    bold, code = Span(Kind.BOLD, 0, 9), Span(Kind.CODE, 3, 6)
    assert tidy("abcdefghi", [bold, code]) == (Span(Kind.BOLD, 0, 3), code, Span(Kind.BOLD, 6, 9))
    link = Span(Kind.LINK, 0, 9, "https://a.example")
    assert tidy("abc def g", [code, link]) == (link,)
    assert tidy("abc", [Span(Kind.QUOTE, 0, 3), Span(Kind.QUOTE, 1, 2)]) == (Span(Kind.QUOTE, 0, 3),)
    assert tidy("a  b", [Span(Kind.ITALIC, 1, 3), Span(Kind.BOLD, 0, 2)]) == (Span(Kind.BOLD, 0, 1),)
