"""What a bot makes of the messages that came in. It decides; Telegram and the model are reached by others."""
