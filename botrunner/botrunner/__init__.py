"""One bot: Telegram in, model, Telegram out. It knows neither Kubernetes' API nor other bots' data."""

__version__ = "0.1.0"
