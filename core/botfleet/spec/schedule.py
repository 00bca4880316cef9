"""Why: when a bot answers, by the clock on its owner's wall. The runner knows when that is."""

from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field

from botfleet.spec.rules import Wire


class Day(StrEnum):
    """A day of the week."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


class OutsideHours(StrEnum):
    """What becomes of a message that comes outside of the working hours."""

    QUEUE = "Queue"
    REPLY = "Reply"
    MESSAGE = "Message"


def _known_zone(name: str) -> str:
    # What the API server cannot know (it has no list of zones) the operator says in the condition Accepted.
    try:
        ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not there; a folder of the database; no name for a file
        raise ValueError(_UNKNOWN_ZONE) from None
    return name


_UNKNOWN_ZONE = (
    "is no time zone that is known here; write one of the IANA database, such as Asia/Bishkek or Europe/Berlin"
)

MESSAGE = "Thank you for your message. I will answer in our working hours."

# Said twice: beside a validator of ours pydantic leaves a pattern out of the schema.
_ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
TimeZone = Annotated[
    str,
    AfterValidator(_known_zone),
    Field(min_length=1, max_length=64, pattern=_ZONE, json_schema_extra={"pattern": _ZONE}),
]


def _from_yaml(value: object) -> object:
    # 18:00 without quotes is the number 1080 to a reader of YAML 1.1, as a standalone file's is.
    return f"{value // 60:02}:{value % 60:02}" if isinstance(value, int) and not isinstance(value, bool) else value


WallTime = Annotated[
    str, BeforeValidator(_from_yaml), Field(max_length=5, pattern=_TIME, json_schema_extra={"pattern": _TIME})
]


class WorkingHours(Wire):
    """From one time of the day to another, on some days. `to` at or before `from` is on the next day."""

    days: Annotated[list[Day], Field(min_length=1, max_length=7, description="On which `from` is: Mon, Tue …")]
    opens: Annotated[WallTime, Field(alias="from", description="Such as 09:00.")]
    closes: Annotated[
        WallTime,
        Field(
            alias="to", description="Such as 18:00; at or before `from` it is on the next day, so 00:00 is midnight."
        ),
    ]


class ScheduleSpec(Wire):
    """Working hours, in the owner's time zone."""

    time_zone: Annotated[TimeZone, Field(description="Of the IANA database, such as Asia/Bishkek.")]
    working_hours: Annotated[list[WorkingHours], Field(min_length=1, max_length=50)]
    outside_hours: Annotated[
        OutsideHours | None,
        Field(
            description="Queue (default): what comes outside of the hours is answered when they begin. Message: the same, and"
            " one line says so. Reply: answer at any time."
        ),
    ] = None
    message: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=1000,
            description=f"The line of outsideHours: Message, said once in a chat until the hours begin. Default {MESSAGE}",
        ),
    ] = None
