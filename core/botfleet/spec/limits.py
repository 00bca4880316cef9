"""Why: how much a bot does at once, in a chat and in a day. Every optional field has no default here (see effective.py)."""

from typing import Annotated

from pydantic import Field

from botfleet.spec.rules import Wire


class BudgetSpec(Wire):
    """What the models may cost a day; a day is one of UTC. At 80 % it is logged, at 95 % the cheapest model answers."""

    tokens_per_day: Annotated[
        int | None, Field(ge=0, le=10**12, description="Of prompts and answers together. Default 0: no limit.")
    ] = None
    money_per_day: Annotated[
        float | None,
        Field(
            ge=0,
            le=10**9,
            description="In the currency of pricePerMillionTokens, which each model then has. Default 0: no limit.",
        ),
    ] = None
    exhausted_text: Annotated[
        str | None,
        Field(
            max_length=1000,
            description="Said at most once a chat and day when nothing is left; empty: nothing is said. Default: That is"
            " all that I may say today. Please write to me again tomorrow.",
        ),
    ] = None


class LimitsSpec(Wire):
    """How much a bot does."""

    messages_per_minute_per_chat: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_000,
            description="Answers to one chat within a minute; what is asked beyond it is answered later, together."
            " Default 20.",
        ),
    ] = None
    concurrent_replies: Annotated[
        int | None, Field(ge=1, le=100, description="Answers that are written at the same time. Default 5.")
    ] = None
    budget: BudgetSpec | None = None
