"""What a reader takes for one character is one."""

import itertools

import pytest

from botrunner.telegram.graphemes import is_boundary


def pieces(text: str) -> list[str]:
    cuts = [0, *(at for at in range(1, len(text)) if is_boundary(text, at)), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


@pytest.mark.parametrize(
    "characters",
    [
        ["a", "b"],
        ["e\u0301", "x"],
        ["कि", "का"],  # Hindi: a consonant and its vowel sign
        ["👩\u200d🔬", "👨\u200d👩\u200d👧\u200d👦", "a"],
        ["👍🏽", "❤\ufe0f", "1\ufe0f\u20e3"],
        ["🇰🇬", "🇩🇪", "🇫🇷", "🇰"],
        ["🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "a"],
        ["\u1112\u1161\u11ab", "\uac00\u1161", "\uac00\u11a8", "\u1100\uac00", "\uac01\u11a8", "\uac01", "\u1161"],
        ["\r\n", "\n", "\r", "a"],
    ],
)
def test_accents_emoji_flags_and_syllables_are_whole(characters: list[str]) -> None:
    assert pieces("".join(characters)) == characters
