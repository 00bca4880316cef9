"""Python clients of the two admin ports, for tests.

They speak HTTP only; they must never import the servers.
"""

from botfleet_simulator.client.http import AdminError
from botfleet_simulator.client.media import Media
from botfleet_simulator.client.model import ModelAdmin, ModelRequest
from botfleet_simulator.client.telegram import TelegramAdmin
from botfleet_simulator.client.views import Account, Call, Chat, Connection, Fault, Message, Session, State

__all__ = [
    "Account",
    "AdminError",
    "Call",
    "Chat",
    "Connection",
    "Fault",
    "Media",
    "Message",
    "ModelAdmin",
    "ModelRequest",
    "Session",
    "State",
    "TelegramAdmin",
]
