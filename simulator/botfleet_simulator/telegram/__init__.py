"""The Telegram side: an MTProto server with accounts, chats, update state, and faults."""
