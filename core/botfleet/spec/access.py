"""Why: whom a bot answers, and where. Ids are Telegram's numbers: names can be given up and taken by somebody else."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from botfleet.spec.rules import Wire

UserId = Annotated[int, Field(ge=1, le=(1 << 52) - 1, json_schema_extra={"format": "int64"})]


class Groups(StrEnum):
    """In groups, what is answered: nothing, what is addressed to the bot, or everything."""

    OFF = "Off"
    MENTION = "Mention"
    ALL = "All"


class UsersSpec(Wire):
    """People by their ids."""

    allow: Annotated[
        list[UserId] | None,
        Field(max_length=1000, description="Only these are answered, in groups too. Default: everybody."),
    ] = None
    deny: Annotated[
        list[UserId] | None, Field(max_length=1000, description="These are never answered, whatever `allow` says.")
    ] = None


class AccessSpec(Wire):
    """Who is answered, and where."""

    users: UsersSpec | None = None
    groups: Annotated[
        Groups | None,
        Field(
            description="In groups: Off, Mention (default) or All. Mention: what names @the_bot, answers one of its messages or"
            " is a command to it. Posts of channels and messages of other bots are never answered."
        ),
    ] = None
    private_chats: Annotated[bool | None, Field(description="Answer in private chats. Default true.")] = None
