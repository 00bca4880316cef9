"""The model's side of a bot: any endpoint that speaks OpenAI's chat completions."""
