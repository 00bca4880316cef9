"""
Why: every label, annotation, finalizer and selector of the operator is spelled here, once.
Never: anything that is not a name.
"""

from __future__ import annotations

LABEL_BOT = "botfleet.dev/bot"
LABEL_CREDENTIALS = "botfleet.dev/credentials"
LABEL_PROMPT = "botfleet.dev/prompt"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGED_BY = "botfleet-operator"

ANNOTATION_APPLIED = "botfleet.dev/applied-hash"
ANNOTATION_SPEC = "botfleet.dev/spec-digest"
ANNOTATION_CREDENTIALS = "botfleet.dev/credentials-digest"
ANNOTATION_PAUSED = "botfleet.dev/paused"
ANNOTATION_ROTATE = "botfleet.dev/rotate-credentials"

FINALIZER_ERASE = "botfleet.dev/erase"

CHILD_SELECTOR = f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_BOT}"
CREDENTIALS_SELECTOR = f"{LABEL_CREDENTIALS}=true"
PROMPT_SELECTOR = f"{LABEL_PROMPT}=true"


def own_secret_name(bot: str) -> str:
    """The Secret that the operator makes for a bot."""
    return f"{bot}-botfleet"
