"""Why: one way to bring images and the chart into a development cluster, idempotent and quick when nothing changed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from botfleet_tools.binaries import Program, resolve
from botfleet_tools.cluster import Cluster
from botfleet_tools.images import build_images
from botfleet_tools.platform.diagnosis import explained
from botfleet_tools.progress import Progress
from botfleet_tools.run import capture

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts/botfleet"
DEV_VALUES = CHART / "ci/dev-values.yaml"
IMAGES = ("runner", "operator", "simulator", "postgres", "redis")


@dataclass(frozen=True)
class Release:
    """A Helm release in a cluster."""

    cluster: Cluster
    name: str = "botfleet"
    namespace: str = "botfleet-system"


@dataclass(frozen=True)
class LoadedImages:
    """The images of the working tree, in a cluster, under tags that tell their contents: `localhost/botfleet/NAME:TAG`."""

    tags: Mapping[str, str]

    def values(self) -> dict[str, Any]:
        """The chart's values for these images. A changed image is another tag, so the pods that use it are replaced."""
        return {
            "operator": {"image": {"tag": self.tags["operator"]}},
            "bots": {"image": {"tag": self.tags["runner"]}},
            "postgres": {"bundled": {"image": {"tag": self.tags["postgres"]}}},
            "redis": {"bundled": {"image": {"tag": self.tags["redis"]}}},
        }

    def reference(self, name: str) -> str:
        """What a pod calls the image."""
        return f"localhost/botfleet/{name}:{self.tags[name]}"


def load_images(cluster: Cluster, progress: Progress) -> LoadedImages:
    """Builds what changed and loads what the cluster does not have."""
    built = build_images(*IMAGES, progress=progress)
    tags = {}
    with progress.step("Loading the images into the cluster") as step:
        for name, image in built.items():
            step.update(name)
            cluster.load_image(image.archive)
            tags[name] = image.digest.removeprefix("sha256:")[:16]
            cluster.tag_image(image.reference, f"localhost/botfleet/{name}:{tags[name]}")
    return LoadedImages(tags)


def install(release: Release, images: LoadedImages, progress: Progress, values: Mapping[str, Any]) -> None:
    """`helm upgrade --install` and waits until migrations, operator and servers are ready.

    Raises:
        ToolError: with what Helm or kubectl said, and which part of the platform is not well.
    """
    helm = resolve(Program.HELM, progress)
    with progress.step(f"Installing the chart as release {release.name}") as step, explained(release.cluster):
        capture(
            [
                helm, "--kubeconfig", release.cluster.kubeconfig, "upgrade", "--install", release.name, CHART,
                "--namespace", release.namespace, "--create-namespace", "--values", DEV_VALUES, "--values", "-",
            ],
            stdin=yaml.safe_dump(_merged(images.values(), values)).encode(),
            deadline_seconds=120,
        )  # fmt: skip
        wait_ready(release, lambda what: step.update(f"waiting for {what}"))


def wait_ready(release: Release, tell: Any = lambda what: None) -> None:
    """Waits for the workloads of the release, each with a deadline."""
    kubectl = release.cluster.kubectl
    for kind in ("statefulset", "deployment"):
        names = json.loads(kubectl("-n", release.namespace, "get", kind, "-o", "json"))["items"]
        for name in (item["metadata"]["name"] for item in names):
            tell(f"{kind} {name}")
            kubectl(
                "-n", release.namespace, "rollout", "status", f"{kind}/{name}", "--timeout=180s", deadline_seconds=200
            )


def uninstall(release: Release, progress: Progress) -> None:
    """`helm uninstall`; what the chart keeps on purpose stays."""
    helm = resolve(Program.HELM, progress)
    capture(
        [
            helm,
            "--kubeconfig",
            release.cluster.kubeconfig,
            "uninstall",
            release.name,
            "--namespace",
            release.namespace,
            "--wait",
        ],
        deadline_seconds=180,
    )


def _merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(one)
    for key, value in other.items():
        out[key] = (
            _merged(out[key], value) if isinstance(out.get(key), Mapping) and isinstance(value, Mapping) else value
        )
    return out
