"""What the operator takes for 10, 100 and 1,000 bots, beside what a bare loop takes for the same."""
