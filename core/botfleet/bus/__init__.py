"""The bus: a bot's events on their way out of its store. Import the modules themselves."""
