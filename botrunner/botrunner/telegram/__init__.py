"""Everything that knows Telethon: logging in, taking in, sending. Nothing of Telethon leaves this package."""
