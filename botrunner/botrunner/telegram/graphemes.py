"""Why: where nothing else separates a text it is cut between what a reader takes for characters, never inside of one. Pure.

The rules are those of Unicode's UAX #29 as far as they matter in a chat: accents, emoji with their parts, flags, Hangul.
"""

import unicodedata

_JOINER = "\u200d"


def is_boundary(text: str, at: int) -> bool:
    """Whether a cut before `text[at]` leaves both of its neighbours whole; `at` lies inside of the text."""
    before, after = text[at - 1], text[at]
    if before == "\r" and after == "\n":
        return False
    if before == _JOINER or _extends(after):
        return False
    if _is_flag_half(before) and _is_flag_half(after):
        return _flag_halves_before(text, at) % 2 == 0
    return not _is_one_syllable(before, after)


def _extends(character: str) -> bool:
    """It belongs to the character before it: an accent, a variation, a skin tone, a part of a flag's tag, a joiner."""
    if character < "\u0300":
        return False
    if unicodedata.category(character) in ("Mn", "Mc", "Me"):
        return True
    return (
        character == _JOINER or "\U0001f3fb" <= character <= "\U0001f3ff" or "\U000e0020" <= character <= "\U000e007f"
    )


def _is_flag_half(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_halves_before(text: str, at: int) -> int:
    start = at
    while start > 0 and _is_flag_half(text[start - 1]):
        start -= 1
    return at - start


def _is_one_syllable(before: str, after: str) -> bool:
    """Hangul written in its parts: a leading consonant, a vowel, a trailing consonant."""
    if "\u1100" <= before <= "\u115f":
        return "\u1100" <= after <= "\u11a7" or "\uac00" <= after <= "\ud7a3"
    if "\u1160" <= before <= "\u11a7" or ("\uac00" <= before <= "\ud7a3" and (ord(before) - 0xAC00) % 28 == 0):
        return "\u1160" <= after <= "\u11ff"
    return ("\u11a8" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3") and "\u11a8" <= after <= "\u11ff"
