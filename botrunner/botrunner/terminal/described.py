"""Why: before it runs, a bot is described to its owner in a few lines, the same ones wherever they are shown. Pure."""

from collections.abc import Sequence
from pathlib import Path

from botfleet.effective import EffectiveSpec
from botfleet.spec.behaviour import Disclosure
from botrunner.prepare import Prepared

Rows = Sequence[tuple[str, str]]

_DISCLOSED = {
    Disclosure.FIRST_REPLY: "in its first reply to a person, and whenever somebody asks",
    Disclosure.EVERY_CONVERSATION: "in each conversation, and whenever somebody asks",
    Disclosure.ON_REQUEST: "whenever somebody asks",
}


def account(spec: EffectiveSpec) -> str:
    """Which account it is, by what it logs in with."""
    reference = spec.account.bot_token_secret_ref or spec.account.session_secret_ref
    by = "a token" if spec.account.bot_token_secret_ref else "a stored session"
    where = f" (Secret {reference.name}, key {reference.key})" if reference else ""
    centre = spec.account.data_center
    at = f", at {centre.address}:{centre.port} instead of Telegram's own servers" if centre else ""
    return f"{spec.account.type.value}, by {by}{where}{at}"


def model(spec: EffectiveSpec) -> str:
    """Who writes the answers."""
    return f"{spec.model.name} at {spec.model.base_url}"


def _persona(spec: EffectiveSpec) -> str:
    hidden = spec.persona.prompt_from.secret_key_ref if spec.persona.prompt_from else None
    return f"Secret {hidden.name}, key {hidden.key}" if hidden else " ".join(spec.persona.prompt.split())


def rows(prepared: Prepared) -> Rows:
    """What the bot will be: a name and a value each."""
    spec, talk = prepared.spec, prepared.spec.conversation
    persona = _persona(spec)
    return (
        ("account", account(spec)),
        ("persona", persona if len(persona) <= 70 else f"{persona[:69].rstrip()}…"),
        ("says it is an AI", _DISCLOSED[spec.persona.disclosure]),
        ("model", model(spec)),
        *((f"else {one.name}", one.base_url) for one in spec.model.fallbacks),
        *(
            (("pictures", "shown to " + ", ".join(m.name for m in spec.model.chain if m.vision)),)
            if spec.model.sees
            else ()
        ),
        *((("voice messages", f"{voices.name} at {voices.base_url}"),) if (voices := spec.model.transcription) else ()),
        ("answers", f"at most {spec.model.max_output_tokens} tokens, within {spec.model.timeout_seconds} s"),
        ("sees", f"the last {talk.history_messages} messages; quick ones within {talk.debounce_seconds:g} s together"),
        ("data, when alone", at_home(prepared.data_dir)),
        *((("suspended", "yes: in a cluster it stays stopped (spec.suspend)"),) if spec.suspend else ()),
    )


def table(rows: Rows) -> str:
    """The rows, their values below each other."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def at_home(path: Path) -> str:
    """A path as people write it."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)
