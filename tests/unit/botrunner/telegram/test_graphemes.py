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
        ["a", "🇩🇪", "🇫🇷", "b", "🇰🇬"],
        ["\U0001f1e6\U0001f1ff", "\U0001f1ff\U0001f1e6", "\U0001f200", "\U0001f1e6", "\U0001f1e5"],
        # The first and the last of each kind of Hangul, and their neighbours outside of it.
        ["\u1100\u1160", "\u115f\u11a7", "\u1100\ud7a3", "\u115f\uac00", "\u10ff", "\u1160", "\u1200", "\uac00"],
        [
            "\u1160\u1160\u11a7\u11ff",
            "a",
            "\u1160\u11a8\u11a8\u11ff\u11ff",
            "\u1160",
            "\u1200",
            "\u11a8\u11ff",
            "\u115f\u1160",
        ],
        ["\uac00\u1160", "\uac00\u11ff", "\ud788\u11a7", "\ud7a3\u11a8", "\ud7a3\u11ff", "\uac01", "\u1160\u11a8"],
        ["\u1100", "\ud7a4", "\u1100", "\uabff", "\u1100", "\u10ff", "\ud7a3", "\u1100"],
    ],
)
def test_accents_emoji_flags_and_syllables_are_whole(characters: list[str]) -> None:
    assert pieces("".join(characters)) == characters
