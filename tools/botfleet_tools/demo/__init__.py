"""What `make demo`, `make chat` and `make try` do: the product as its user meets it, against a simulated Telegram and model."""
