"""Why: what an owner does at a terminal: check, chat, log in. Nothing in here is loaded where a bot runs in a cluster."""
