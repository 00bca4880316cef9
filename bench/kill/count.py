"""Why: what the receivers got, judged against what they sent. Pure: numbers in, figures out."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

NUMBER = re.compile(r"\b\d+\b")


@dataclass(frozen=True)
class Verdict:
    """Of one chat, or of all. `strange`: numbers that nobody sent there."""

    sent: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    strange: int = 0

    @property
    def good(self) -> bool:
        """Each was answered once, in order."""
        return not (self.lost or self.doubled or self.out_of_order or self.strange)


def numbers_of(texts: Iterable[str]) -> list[int]:
    """The numbers that replies name, in the order in which they came."""
    return [int(word) for text in texts for word in NUMBER.findall(text)]


def judge(sent: Sequence[int], named: Sequence[int]) -> Verdict:
    """One chat: `sent` in order, `named` by the replies as they arrived."""
    known, counts = set(sent), Counter(named)
    ahead, newest = 0, 0
    for number in dict.fromkeys(number for number in named if number in known):
        ahead += number < newest
        newest = max(newest, number)
    return Verdict(
        sent=len(sent),
        lost=len(known - set(named)),
        doubled=sum(counts[number] - 1 for number in known if counts[number]),
        out_of_order=ahead,
        strange=sum(count for number, count in counts.items() if number not in known),
    )


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """All chats."""
    all_of = list(verdicts)
    return Verdict(
        sum(one.sent for one in all_of),
        sum(one.lost for one in all_of),
        sum(one.doubled for one in all_of),
        sum(one.out_of_order for one in all_of),
        sum(one.strange for one in all_of),
    )
