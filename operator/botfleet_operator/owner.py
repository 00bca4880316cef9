"""
Why: what changes a pod template from the owner's side (spec, the namespace's defaults, Secrets, prompts, rotated credentials) is
applied at once, what changes it from the installation's (image, defaults, another operator) in waves: a mark tells the two apart.
Never: anything of the installation's in the mark; a secret's value. Whoever changes how a mark is made raises _FORM: marks of another
form say nothing, or a new operator would restart the whole fleet at once in the owners' name.
"""

from __future__ import annotations

from botfleet.defaults import merge
from botfleet.digest import content_digest
from botfleet_operator.acceptance import Accepted
from botfleet_operator.defaults import DefaultsRecord
from botfleet_operator.model import BotRecord
from botfleet_operator.plan import Identity
from botfleet_operator.references import needs

_FORM = "1"
_LENGTH = 16


def owner_mark(bot: BotRecord, accepted: Accepted, identity: Identity, nearer: DefaultsRecord | None = None) -> str:
    """Form, spec as written with the namespace's defaults, generations of the bot's own credentials, which Secrets and which prompt
    are named, what is in them."""
    named = sorted([need.secret, need.key] for need in needs(accepted.spec))
    written = content_digest(merge(bot.spec, dict(nearer.layer)) if nearer else bot.spec)
    values = accepted.credentials_digest
    if accepted.prompt_from is not None:
        named.append(list(accepted.prompt_from))
        values = content_digest([values, accepted.spec.persona.prompt])
    generations = f"{identity.generation}.{identity.session_generation}"
    return "-".join(
        (
            _FORM,
            written[:_LENGTH],
            generations,
            content_digest(named)[:_LENGTH],
            values[:_LENGTH],
        )
    )


def owner_changed(old: str, new: str) -> bool:
    """Whether the owner has changed something between the two. Other values of the same Secrets are the owner's doing; other
    Secrets under the same spec are named by the installation's defaults."""
    before, after = old.split("-"), new.split("-")
    if len(before) != len(after) or before[0] != after[0]:
        return False
    _, spec, generations, named, values = zip(before, after, strict=True)
    return spec[0] != spec[1] or generations[0] != generations[1] or (named[0] == named[1] and values[0] != values[1])
