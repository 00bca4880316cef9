"""What tests and benchmarks share: an installation's database, a bot's process."""
