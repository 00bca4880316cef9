"""The words that all parts of Botfleet share. It knows neither Telegram's nor Kubernetes' nor a model's client library."""
