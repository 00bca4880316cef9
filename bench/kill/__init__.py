"""Kills of real runners at random and chosen points, and the receiver's count of what came of each message."""
