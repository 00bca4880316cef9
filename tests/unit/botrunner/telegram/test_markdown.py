"""What a model means by its Markdown is what a person sees; what is no Markdown is shown as it is, and nothing is lost."""

import itertools
import re
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from botrunner.telegram import markdown
from botrunner.telegram.format import LIMIT, split
from botrunner.telegram.formatted import Kind, utf16_length
from botrunner.telegram.markdown import is_safe, render


def shown(text: str) -> tuple[str, list[tuple[str, str, str]]]:
    """The text, and of each span its kind, its words and what goes with it."""
    whole = render(text)
    return whole.text, [(span.kind.value, whole.text[span.start : span.end], span.value) for span in whole.spans]


GOLDEN = {
    "Plain, with 2 * 3 = 6 and snake_case_name.": ("Plain, with 2 * 3 = 6 and snake_case_name.", []),
    "**bold** and __bold__": ("bold and bold", [("bold", "bold", ""), ("bold", "bold", "")]),
    "*italic* and _italic_": ("italic and italic", [("italic", "italic", ""), ("italic", "italic", "")]),
    "~~gone~~ `code`": ("gone code", [("strikethrough", "gone", ""), ("code", "code", "")]),
    "***both***": ("both", [("bold", "both", ""), ("italic", "both", "")]),
    "**a _b_ c**": ("a b c", [("bold", "a b c", ""), ("italic", "b", "")]),
    "**a `b` c**": ("a b c", [("bold", "a", ""), ("code", "b", ""), ("bold", "c", "")]),
    "😀 **жирный** 😀": ("😀 жирный 😀", [("bold", "жирный", "")]),
    # headings
    "# Breakfast\nFrom 7 to 10.": ("Breakfast\nFrom 7 to 10.", [("bold", "Breakfast", "")]),
    "### The **new** `spa` #": ("The new spa", [("bold", "The new", ""), ("code", "spa", "")]),
    "A paragraph\n---\nand another": ("A paragraph\n———\nand another", []),
    # lists
    "We have:\n- a pool\n* a sauna\n+ a bar": ("We have:\n• a pool\n• a sauna\n• a bar", []),
    "1. one\n2. two\n\n   more of two\n3) new": ("1. one\n2. two\n\n  more of two\n3) new", []),
    "- a\n  - b\n    c\n  - d\n- e": ("• a\n  • b\n    c\n  • d\n• e", []),
    "7. **Ala-Too**: the square": ("7. Ala-Too: the square", [("bold", "Ala-Too", "")]),
    # code blocks
    "Try:\n```python\nif x:\n    y()\n```\nDone.": (
        "Try:\nif x:\n    y()\nDone.",
        [("pre", "if x:\n    y()", "python")],
    ),
    "```\n**not bold**\n```": ("**not bold**", [("pre", "**not bold**", "")]),
    "~~~c++\nx\n\n\ny\n~~~": ("x\n\n\ny", [("pre", "x\n\n\ny", "c++")]),
    "```sh\nan answer that was cut o": ("an answer that was cut o", [("pre", "an answer that was cut o", "sh")]),
    "```what is this\nx\n```": ("what is this\nx", [("pre", "what is this\nx", "")]),
    "- run\n  ```sh\n  ls\n    -l\n  ```": ("• run\nls\n  -l", [("pre", "ls\n  -l", "sh")]),
    "a\n\n    indented\n\nb": ("a\n\nindented\n\nb", [("pre", "indented", "")]),
    # quotes
    "> one\n> **two**\n\nthree": ("one\ntwo\n\nthree", [("blockquote", "one\ntwo", ""), ("bold", "two", "")]),
    "> a\n>> b": ("a\nb", [("blockquote", "a\nb", "")]),
    "> - a\n> - b": ("• a\n• b", [("blockquote", "• a\n• b", "")]),
    # links
    "[the menu](https://a.example/m?x=1&y=2)": ("the menu", [("text_link", "the menu", "https://a.example/m?x=1&y=2")]),
    "[**b** `c`](http://a.example)": ("b c", [("text_link", "b c", "http://a.example"), ("bold", "b", "")]),
    "<https://a.example> <m@a.example>": (
        "https://a.example m@a.example",
        [("text_link", "https://a.example", "https://a.example"), ("text_link", "m@a.example", "mailto:m@a.example")],
    ),
    "[us](tg://resolve?domain=a)": ("us", [("text_link", "us", "tg://resolve?domain=a")]),
    "![the pool](https://a.example/p.jpg)": ("the pool", [("text_link", "the pool", "https://a.example/p.jpg")]),
    "[](https://a.example)": ("https://a.example", [("text_link", "https://a.example", "https://a.example")]),
    # the source's lines and paragraphs
    "one\ntwo  \nthree\n\n\n\nfour": ("one\ntwo\nthree\n\nfour", []),
    "one\r\ntwo\r\n\r\nthree": ("one\ntwo\n\nthree", []),
    "AT&amp;T \\*stars\\* &lt;": ("AT&T *stars* <", []),
}


@pytest.mark.parametrize("text", GOLDEN, ids=range(len(GOLDEN)))
def test_markdown_is_shown_as_it_is_meant(text: str) -> None:
    assert shown(text) == GOLDEN[text]


@pytest.mark.parametrize(
    "text",
    [
        "**never closed",
        "`never closed",
        "a ** b ** c",
        "[words](no address",
        "[words][nothing]",
        "[x]: https://a.example",
        "<javascript:alert(1)>",
        "[words](/путь)",
        "<b>HTML</b><br> <!-- and so on -->",
        "<div>\nof a block\n</div>",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "#hashtag and @name, /command",
        "-\n\n#\n\n>",
        "```\n```",
    ],
)
def test_what_is_no_good_markdown_is_shown_as_it_is(text: str) -> None:
    assert render(text).text == text


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "vbscript:x",
        "tg:resolve",
        "http:///a",
        "/relative",
        "a.example",
        "",
        "https://a.example/" + "x" * 3000,
    ],
)
def test_an_address_that_is_not_safe_is_no_link_and_is_seen(address: str) -> None:
    assert not is_safe(address)
    for text in (f"[words]({address})", f"![words]({address})"):
        whole = render(text)
        assert whole.spans == ()
        assert whole.text.removeprefix("!") == text.removeprefix("!")


def test_lone_surrogates_and_zeros_become_something_that_can_be_stored_and_sent() -> None:
    whole = render("**a\ud800b\x00c** \udfff")
    whole.text.encode("utf-8")
    assert (whole.text, [span.kind for span in whole.spans]) == ("a?bc ?", [Kind.BOLD])


@pytest.mark.parametrize("text", [">" * 600 + "x", "- " * 120 + "x", "[" * 1000 + "x", "*a **b " * 100, "`" * 1001])
def test_what_is_nested_without_end_loses_nothing(text: str) -> None:
    assert re.findall(r"\w", render(text).text) == re.findall(r"\w", text)


def test_whatever_the_parser_stumbles_over_is_shown_as_it_is(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    def stumble(_: MarkdownIt, text: str) -> None:
        raise IndexError(text)

    monkeypatch.setattr(MarkdownIt, "parse", stumble)
    assert shown("**planted**") == ("**planted**", [])
    assert "planted" not in capsys.readouterr().out, "a text is in no log"


SIGNS = st.lists(
    st.sampled_from([*"ab1 \n*_~`>#-+.\\|<&", "**", "\n\n", "```", "\n> ", "\n- ", "\n1. ", "    ", "\t", "é", "😀"]),
    max_size=60,
).map("".join)


def letters(text: str) -> Counter[str]:
    return Counter(re.findall(r"[^\W_]", text))


@settings(max_examples=50, deadline=None)
@given(SIGNS)
def test_no_word_is_lost(text: str) -> None:
    whole = render(text)
    languages = "".join(span.value for span in whole.spans)
    assert letters(whole.text) + letters(languages) == letters(text)
    assert whole.text.strip() or not text.strip()


@settings(max_examples=30, deadline=None)
@given(SIGNS)
@example("> `    a`a")
@example("> ```\n>     a\n> ```")
def test_spans_lie_apart_or_within_each_other_in_every_part(text: str) -> None:
    for part in split(render(text), 32):
        for outer, inner in itertools.combinations(part.spans, 2):
            assert inner.start >= outer.end or inner.end <= outer.end
            if inner.kind in (Kind.CODE, Kind.PRE) or outer.kind in (Kind.CODE, Kind.PRE):
                assert inner.start >= outer.end or outer.kind is Kind.QUOTE


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=200))
def test_no_text_makes_it_fail_and_the_same_text_gives_the_same(text: str) -> None:
    assert render(text) == render(text)


def test_the_parser_is_made_once() -> None:
    assert markdown._parser() is markdown._parser()


def test_a_long_answer_keeps_its_formatting_over_all_its_messages() -> None:
    code = "\n".join(f"    line {number}" for number in range(1000))
    parts = split(render(f"Here:\n\n```python\n{code}\n```\n\n**{'bold words ' * 500}here**"))
    assert [[(span.kind, span.value) for span in part.spans] for part in parts] == [
        [(Kind.PRE, "python")],
        [(Kind.PRE, "python")],
        [(Kind.PRE, "python")],
        [(Kind.PRE, "python"), (Kind.BOLD, "")],
        [(Kind.BOLD, "")],
    ]
    assert all(utf16_length(part.text) <= LIMIT for part in parts)
    assert all(line.startswith("    line ") for part in parts[1:3] for line in part.text.split("\n"))
