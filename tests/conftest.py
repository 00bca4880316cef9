"""What holds for every tier of tests."""

import asyncio

# On Python 3.11 asking for "the" event loop makes one that nobody closes; said once, there is none.
asyncio.set_event_loop(None)
