"""Packs the pause program into an image archive, without any image tool: one layer with one file."""

import hashlib
import io
import json
import tarfile
from pathlib import Path

from botfleet_tools.binaries.download import architecture

NOBODY = "65535:65535"


def archive(program: Path, tag: str) -> bytes:
    """A `docker save` archive of an image ``tag`` that runs the program. The same input gives the same bytes."""
    layer = _tar({"pause": (program.read_bytes(), 0o755)})
    config = {
        "architecture": architecture(),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": NOBODY},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]},
    }
    content = json.dumps(config).encode()
    config_name = hashlib.sha256(content).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [tag], "Layers": ["layer.tar"]}]).encode()
    return _tar({config_name: (content, 0o644), "layer.tar": (layer, 0o644), "manifest.json": (manifest, 0o644)})


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, (content, mode) in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
