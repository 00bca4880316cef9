"""The admin port of the Telegram server: HTTP and JSON, for tests and for people with curl.

It must never be reachable by the bots under test: it binds to loopback unless told otherwise.
"""

from botfleet_simulator.telegram.admin.app import make_app

__all__ = ["make_app"]
