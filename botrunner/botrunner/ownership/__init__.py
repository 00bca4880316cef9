"""One owner of a Telegram account at a time: lease, clock and cut-off, binding, and locks for a bot that runs alone."""
