"""How much later than a bare echo a bot answers, and how many answers a second it gives."""
