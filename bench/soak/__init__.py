"""Bots that run for a while with faults on the way: what grows, what is left, and whether all was answered."""
