"""What the store promises on SQLite and on PostgreSQL alike. The fixture `store` is a runner's own, with one bot, `bot_id`."""
