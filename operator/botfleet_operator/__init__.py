"""The Botfleet operator: it turns TelegramBot objects into running bots, and says truly how they are."""
