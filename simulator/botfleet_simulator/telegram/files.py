"""The bytes of photos and documents: parts of uploads in memory until they are used, files on disk over a restart.

Both have a bound, beyond which the server refuses clearly. It must never know who may see a file: who has its id, hash and a
reference that is still good, may.
"""

import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from telethon.tl import types

from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.storage import Storage

FILE_BYTES = 32 * 2**20
ALL_BYTES = 128 * 2**20
PARTS_BYTES = 64 * 2**20
PART_BYTES = 512 * 1024
FULL = "FILES_LIMIT_REACHED"  # no error of Telegram's: the bound is this server's


@dataclass(slots=True)
class StoredFile:
    """A photo or a document. `attributes`: TL objects as hex. `reference`: which one of its references is good now."""

    id: int
    access_hash: int
    kind: str
    mime: str
    size: int
    date: int
    width: int = 0
    height: int = 0
    attributes: list[str] = field(default_factory=list)
    reference: int = 1

    @property
    def file_reference(self) -> bytes:
        """What a client must show to get the bytes; an older one has expired."""
        return hashlib.sha256(f"reference {self.id} {self.access_hash} {self.reference}".encode()).digest()[:16]


class Files:
    """All files of one simulated Telegram."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._files = {data["id"]: StoredFile(**data) for data in storage.documents("files")}
        self._bytes = sum(file.size for file in self._files.values())
        self._parts: dict[tuple[int, int], dict[int, bytes]] = {}
        self._parts_bytes = 0

    # ---- uploads
    def save_part(self, owner: int, file_id: int, number: int, data: bytes) -> None:
        """A part of an upload. Raises FILE_PART_INVALID, FILE_PART_TOO_BIG, FILES_LIMIT_REACHED."""
        if not 0 <= number < 8000:
            raise RpcError("FILE_PART_INVALID")
        if len(data) > PART_BYTES:
            raise RpcError("FILE_PART_TOO_BIG")
        parts = self._parts.setdefault((owner, file_id), {})
        more = len(data) - len(parts.get(number, b""))
        if self._parts_bytes + more > PARTS_BYTES:
            raise RpcError(FULL)
        self._parts_bytes += more
        parts[number] = data

    def take_upload(self, owner: int, given: Any) -> bytes:
        """The bytes of an InputFile or InputFileBig, which can be used once. Raises FILE_PARTS_INVALID, FILE_PART_0_MISSING."""
        parts = self._parts.pop((owner, given.id), {})
        self._parts_bytes -= sum(map(len, parts.values()))
        if given.parts < 1:
            raise RpcError("FILE_PARTS_INVALID")
        missing = next((number for number in range(given.parts) if number not in parts), None)
        if missing is not None:
            raise RpcError(f"FILE_PART_{missing}_MISSING")
        return b"".join(parts[number] for number in range(given.parts))

    # ---- files
    def add(
        self, kind: str, mime: str, data: bytes, *, size: tuple[int, int] = (0, 0), attributes: list[Any] | None = None
    ) -> StoredFile:
        """Keep a photo (kind "photo") or a document. Raises FILES_LIMIT_REACHED."""
        if len(data) > FILE_BYTES or self._bytes + len(data) > ALL_BYTES:
            raise RpcError(FULL)
        file = StoredFile(
            id=secrets.randbits(62) | 1,
            access_hash=secrets.randbits(62) | 1,
            kind=kind,
            mime=mime,
            size=len(data),
            date=int(time.time()),
            width=size[0],
            height=size[1],
            attributes=[bytes(attribute).hex() for attribute in attributes or ()],
        )
        self._files[file.id] = file
        self._bytes += file.size
        self._save(file)
        self._storage.put("bytes", file.id, file.id, data)
        return file

    def get(self, file_id: int) -> StoredFile | None:
        """The file with that id."""
        return self._files.get(file_id)

    def read(self, file: StoredFile, offset: int, limit: int) -> bytes:
        """A piece of a file."""
        return self._storage.blob("select substr(data, ?, ?) from bytes where id = ?", offset + 1, limit, file.id)

    def check(self, file_id: int, access_hash: int, reference: bytes, missing: str) -> StoredFile:
        """The file that a client names. Raises `missing` or FILE_REFERENCE_EXPIRED."""
        file = self.get(file_id)
        if file is None or file.access_hash != access_hash:
            raise RpcError(missing)
        if reference != file.file_reference:
            raise RpcError("FILE_REFERENCE_EXPIRED")
        return file

    def expire(self, file: StoredFile) -> None:
        """References given so far are good no more: the message must be asked for again."""
        file.reference += 1
        self._save(file)

    def _save(self, file: StoredFile) -> None:
        self._storage.put("files", file.id, file.id, json.dumps(asdict(file)))


def location_of(files: Files, location: Any) -> StoredFile:
    """The file that upload.getFile asks for. Raises LOCATION_INVALID, FILE_ID_INVALID or FILE_REFERENCE_EXPIRED."""
    if isinstance(location, types.InputPhotoFileLocation | types.InputDocumentFileLocation):
        return files.check(location.id, location.access_hash, location.file_reference, "FILE_ID_INVALID")
    raise RpcError("LOCATION_INVALID")
