"""bots.*: the commands that a bot shows.

Scopes and languages are accepted and kept as one list: the simulator shows no menus.
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram.envelope import vector
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.rpc import TRUE, Context, method

F = functions.bots
COMMAND_LIMIT = 100


@method(F.SetBotCommandsRequest, people=False)
def set_bot_commands(context: Context, request: Any) -> Any:
    """Replace the bot's commands."""
    if len(request.commands) > COMMAND_LIMIT:
        raise RpcError("BOT_COMMANDS_TOO_MUCH")
    for command in request.commands:
        name = command.command
        if not (1 <= len(name) <= 32 and name.isascii() and name.replace("_", "").isalnum() and name == name.lower()):
            raise RpcError("BOT_COMMAND_INVALID")
        if not 1 <= len(command.description) <= 256:
            raise RpcError("BOT_COMMAND_DESCRIPTION_INVALID")
    context.me.commands = [(command.command, command.description) for command in request.commands]
    context.world.save_account(context.me)
    return TRUE


@method(F.ResetBotCommandsRequest, people=False)
def reset_bot_commands(context: Context, request: Any) -> Any:
    """Forget the bot's commands."""
    context.me.commands = []
    context.world.save_account(context.me)
    return TRUE


@method(F.GetBotCommandsRequest, people=False)
def get_bot_commands(context: Context, request: Any) -> Any:
    """The bot's commands."""
    return vector([types.BotCommand(name, text) for name, text in context.me.commands])
