"""A QR code at a terminal is what the library made, dark on light, and can be taken away again."""

from botrunner.terminal.drawing import MARGIN, drawing, erased, modules

LINK = "tg://login?token=" + "A" * 48
DARK_ABOVE, DARK_BELOW = "▀█", "▄█"


def test_a_drawn_code_has_each_module_within_a_light_margin_in_colours_of_its_own():
    lines = drawing(LINK).split("\n")
    assert all(line.startswith("\x1b[38;5;16;48;5;231m") and line.endswith("\x1b[0m") for line in lines)
    seen = [line[len("\x1b[38;5;16;48;5;231m") : -len("\x1b[0m")] for line in lines]
    rows = [[letter in half for letter in line] for line in seen for half in (DARK_ABOVE, DARK_BELOW)]
    code = modules(LINK)
    size = len(code)
    assert {len(row) for row in rows} == {size + 2 * MARGIN}
    assert [row[MARGIN:-MARGIN] for row in rows[MARGIN : MARGIN + size]] == code
    outside = [*rows[:MARGIN], *rows[MARGIN + size :], *([row[0], row[1], row[-2], row[-1]] for row in rows)]
    assert not any(dark for row in outside for dark in row)


def test_a_login_code_fits_a_terminal_of_24_lines():
    assert drawing(LINK).count("\n") + 1 <= 20


def test_what_is_erased_is_what_was_drawn():
    assert erased(21) == "\x1b[21A\x1b[J"
