"""Images of a cluster of plain processes: archives are read by its containerd, once each.

Nothing is pulled from a registry: the cluster has no way out.
"""

import hashlib
import json
import tarfile
from pathlib import Path

from botfleet_tools import binaries
from botfleet_tools.cluster import layout, pauseimage
from botfleet_tools.cluster.names import ClusterError
from botfleet_tools.cluster.state import State, load
from botfleet_tools.progress import Progress
from botfleet_tools.run import capture, run

IMPORT_SECONDS = 300.0
COMMAND_SECONDS = 20.0
CTR = ("ctr", "--address", str(layout.CONTAINERD_SOCKET), "--namespace", "k8s.io")


def inside(state: State, *argv: str) -> str:
    """Run a program in the cluster's namespaces. Raises CommandFailedError."""
    return capture(_enter(state, *argv), deadline_seconds=COMMAND_SECONDS)


def load_archive(state: State, archive: Path, progress: Progress) -> None:
    """Import a `docker save` or OCI archive, unless this very file was imported before."""
    names = names_in(archive)
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _loaded(state, digest, names):
        progress.say(f"✔ {', '.join(names)}: loaded already")
        return
    with progress.step(f"Loading {', '.join(names)}"):
        _import(state, archive, state.run_dir / "log" / "images.log")
    # A later archive under the same name replaces the earlier one's images.
    kept = {key: value for key, value in state.images.items() if not set(value) & set(names)}
    current = load(state.name) or state
    current.with_changes(images=kept | {digest: names})


def tag(state: State, reference: str, name: str) -> None:
    """Give a loaded image a further name."""
    inside(state, *CTR, "images", "tag", "--force", reference, name)


def load_pause(state: State, log: Path) -> None:
    """Import the image that every pod needs."""
    if layout.PAUSE_IMAGE in _present(state):
        return
    archive = state.run_dir / "pause.tar"
    archive.write_bytes(pauseimage.archive(binaries.pause(), layout.PAUSE_IMAGE))
    _import(state, archive, log)


def names_in(archive: Path) -> list[str]:
    """The image names in an archive. Raises ClusterError when it is no image archive."""
    try:
        with tarfile.open(archive) as tar:
            if names := _docker_names(tar) or _oci_names(tar):
                return names
    except (OSError, tarfile.TarError, ValueError) as error:
        raise ClusterError(f"{archive} is no image archive: {error}") from error
    raise ClusterError(f"{archive} is no image archive with a named image")


def _loaded(state: State, digest: str, names: list[str]) -> bool:
    return digest in state.images and set(names) <= _present(state)


def _present(state: State) -> set[str]:
    return set(inside(state, *CTR, "images", "list", "--quiet").split())


def _import(state: State, archive: Path, log: Path) -> None:
    # By standard input: the file may lie in a folder that is hidden inside.
    run(_enter(state, *CTR, "images", "import", "-"), log=log, stdin=archive, deadline_seconds=IMPORT_SECONDS)


def _enter(state: State, *argv: str) -> list[str]:
    if state.init is None or not state.init.alive():
        raise ClusterError(f"cluster {state.name} does not run")
    namespaces = ("--mount", "--net", "--pid", "--uts", "--ipc")
    return ["nsenter", "--target", str(state.init.pid), *namespaces, "env", f"TMPDIR={layout.TEMPORARY}", *argv]


def _read(tar: tarfile.TarFile, name: str) -> bytes | None:
    for prefix in ("", "./"):
        try:
            file = tar.extractfile(prefix + name)
        except KeyError:
            continue
        if file is not None:
            return file.read()
    return None


def _docker_names(tar: tarfile.TarFile) -> list[str]:
    content = _read(tar, "manifest.json")
    if content is None:
        return []
    return [tag for image in json.loads(content) for tag in image.get("RepoTags") or ()]


def _oci_names(tar: tarfile.TarFile) -> list[str]:
    content = _read(tar, "index.json")
    if content is None:
        return []
    keys = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
    found = []
    for manifest in json.loads(content).get("manifests", ()):
        annotations = manifest.get("annotations") or {}
        name = next((annotations[key] for key in keys if key in annotations), None)
        if name is not None:
            found.append(name)
    return found
