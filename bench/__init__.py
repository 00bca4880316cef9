"""Benchmarks: they print figures beside a floor that ran in the same minute, and are never a timed test. See docs/benchmarks.md."""
