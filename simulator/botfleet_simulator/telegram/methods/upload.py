"""upload.*: parts of files that are sent, and files that are fetched.

It must never give bytes to whoever has no good reference.
"""

from typing import Any

from telethon.tl import functions, types

from botfleet_simulator.telegram import media
from botfleet_simulator.telegram.errors import RpcError
from botfleet_simulator.telegram.files import location_of
from botfleet_simulator.telegram.rpc import TRUE, Context, method

F = functions.upload
SMALLEST = 4096
LARGEST = 1024 * 1024


@method(F.SaveFilePartRequest)
def save_file_part(context: Context, request: Any) -> Any:
    """A part of a file of at most 10 MB."""
    context.server.files.save_part(context.me.id, request.file_id, request.file_part, request.bytes)
    return TRUE


@method(F.SaveBigFilePartRequest)
def save_big_file_part(context: Context, request: Any) -> Any:
    """A part of a larger file."""
    context.server.files.save_part(context.me.id, request.file_id, request.file_part, request.bytes)
    return TRUE


@method(F.GetFileRequest)
def get_file(context: Context, request: Any) -> Any:
    """A piece of a file (core.telegram.org/api/files: offset and limit are multiples of 4 KB, or of 1 KB when `precise`)."""
    files = context.server.files
    unit = 1024 if request.precise else SMALLEST
    if request.limit <= 0 or request.limit % unit or request.limit > LARGEST:
        raise RpcError("LIMIT_INVALID")
    if request.offset < 0 or request.offset % unit:
        raise RpcError("OFFSET_INVALID")
    file = location_of(files, request.location)
    if context.server.faults.take("expire_references", account=str(context.me.id)) is not None:
        files.expire(file)
        raise RpcError("FILE_REFERENCE_EXPIRED")
    return types.upload.File(media.file_type(file), file.date, files.read(file, request.offset, request.limit))
