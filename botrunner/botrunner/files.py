"""Why: a file with a secret is there with all of its content or not at all, and never readable by others, not for a moment."""

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, content: bytes, *, replace: bool = False) -> bool:
    """Writes a file of mode 0600 at one stroke, whenever the process is killed. False: there was one, and it stays.

    Only one process may do this to a path at a time.

    Raises:
        OSError: it cannot be written.
    """
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)  # of one that was killed
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            fresh.replace(path)
        else:
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)
                replace = True
    finally:
        fresh.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return replace
