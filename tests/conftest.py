"""What holds for every tier of tests."""

import asyncio

from hypothesis import HealthCheck, settings

# On Python 3.11 asking for "the" event loop makes one that nobody closes; said once, there is none.
asyncio.set_event_loop(None)

# An example that took long says how much else the machine had to do; what must be quick is measured where it is promised.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
