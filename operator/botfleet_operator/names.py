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
ANNOTATION_TEMPLATE = "botfleet.dev/template-digest"  # of a pod template, and so of its pods
ANNOTATION_APPLIED_TEMPLATE = "botfleet.dev/applied-template"  # the pod template as it was applied, as JSON
ANNOTATION_OWNER = "botfleet.dev/owner-digest"  # what of the pod template comes from the bot's owner
ANNOTATION_ROLLED_OUT = "botfleet.dev/rolled-out-at"  # when a wave of a roll-out, which waits for the bot, brought it
RESTARTED = "kubectl.kubernetes.io/restartedAt"  # annotation of a pod template, by `kubectl rollout restart`

FINALIZER_ERASE = "botfleet.dev/erase"

CHILD_SELECTOR = f"{LABEL_MANAGED_BY}={MANAGED_BY},{LABEL_BOT}"
CREDENTIALS_SELECTOR = f"{LABEL_CREDENTIALS}=true"
PROMPT_SELECTOR = f"{LABEL_PROMPT}=true"


def own_secret_name(bot: str) -> str:
    """The Secret that the operator makes for a bot."""
    return f"{bot}-botfleet"
