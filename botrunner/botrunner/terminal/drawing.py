"""Why: a QR code at a terminal must be dark on light for any camera, whatever colours the owner's terminal has. Pure.

segno makes the code (of ISO/IEC 18004); it is imported here alone, so nothing of it is loaded where a bot runs.
"""

MARGIN = 2  # modules; the standard wants four, phones make do with two
_COLOURS = "\x1b[38;5;16;48;5;231m"  # black on white by number: themes change the first sixteen colours only
_PLAIN = "\x1b[0m"
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def modules(text: str) -> list[list[bool]]:
    """The code of a text, row by row; True: dark."""
    import segno

    made = segno.make_qr(text, error="L")
    return [[bool(module) for module in row] for row in made.matrix]


def drawing(text: str) -> str:
    """Lines for a terminal: two rows of modules in each, since a letter is twice as high as it is wide."""
    rows = _with_margin(modules(text))
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    pairs = zip(rows[::2], rows[1::2], strict=True)
    lines = ("".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs)
    return "\n".join(f"{_COLOURS}{line}{_PLAIN}" for line in lines)


def erased(lines: int) -> str:
    """What takes the last lines away again."""
    return f"\x1b[{lines}A\x1b[J"


def _with_margin(rows: list[list[bool]]) -> list[list[bool]]:
    side = [False] * MARGIN
    empty = [[False] * (len(rows) + 2 * MARGIN) for _ in range(MARGIN)]
    return [*empty, *([*side, *row, *side] for row in rows), *[list(row) for row in empty]]
