"""The model side: an OpenAI-compatible server whose answers come from a data file, with faults."""
