"""Why: whether a bot may write first, to whom and how often. Every optional field has no default here (see effective.py)."""

from typing import Annotated

from pydantic import Field

from botfleet.spec.rules import Rule, Wire


class ProactiveSpec(Wire):
    """The bot writes first, within the working hours, to people who wrote to it before and did not opt out."""

    rules = (
        Rule(
            "!has(self.prompt) || self.prompt.trim().size() > 0",
            'the prompt is empty: write what the bot is to write about, for example "Ask how the stay was."',
            lambda p: p.prompt is None or bool(p.prompt.strip()),
        ),
    )
    enabled: Annotated[
        bool | None,
        Field(description="True needs a prompt, and a schedule for its working hours. Default false: never first."),
    ] = None
    prompt: Annotated[
        str | None,
        Field(
            max_length=8192,
            description="What the bot is to write about; the model is shown it after the persona, with the chat's history.",
        ),
    ] = None
    after_silence_hours: Annotated[
        int | None,
        Field(ge=1, le=8760, description="Once nobody has written in the chat for so long. Default 72."),
    ] = None
    window_days: Annotated[
        int | None,
        Field(
            ge=1,
            le=365,
            description="To nobody whose silence is longer than afterSilenceHours and so many days. Default 30.",
        ),
    ] = None
    messages_per_day: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Of the whole bot, in a day of the schedule's time zone. Default 10."),
    ] = None
    max_unanswered: Annotated[
        int | None,
        Field(
            ge=1,
            le=5,
            description="After so many without an answer, none until the person writes. Each waits twice as long as the one"
            " before. Default 1.",
        ),
    ] = None
