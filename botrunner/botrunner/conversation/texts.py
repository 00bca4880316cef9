"""Why: the few sentences that a bot says by itself, in one place. The owner's persona has no part in them."""

DISCLOSURE = "I am an AI assistant, not a person."
STARTED = f"Hello! {DISCLOSURE} Write to me and I will answer. /stop ends our conversation at any time."
STOPPED = "I will not write to you any more. /start if you change your mind."


def disclosed(answer: str) -> str:
    """An answer that says first who writes."""
    return f"{DISCLOSURE}\n\n{answer}"
