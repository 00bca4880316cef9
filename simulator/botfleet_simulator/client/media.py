"""Media to send through the admin port.

It must never keep state of its own.
"""

import base64
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Media:
    """`kind`: photo, voice, audio, sticker, video or document. `seconds` of what has a length; `emoji` of a sticker."""

    kind: str
    data: bytes
    mime: str | None = None
    name: str | None = None
    seconds: int = 1
    emoji: str = "🙂"

    def body(self) -> dict[str, Any]:
        """As the admin port takes it."""
        return {**asdict(self), "data": base64.b64encode(self.data).decode()}
