"""The images that the project builds: what each is made of, in one table.

It only names things. It reads no file and starts nothing; how an image is made is the other modules' business.
"""

from dataclasses import dataclass

from botfleet_tools.errors import ToolError

BUILD_REQUIREMENTS = "requirements/build.txt"
RECIPES = ("images/install-wheels.sh", "images/prepare-runtime.sh")


class UnknownImageError(ToolError):
    """Somebody asked for an image that the project does not have."""


@dataclass(frozen=True)
class Image:
    """One image. Paths are relative to the repository's root, and to the root of the build context."""

    name: str
    reference: str
    dockerfile: str
    requirements: str | None = None  # a requirements file with hashes: its wheels go into the image
    packages: tuple[str, ...] = ()  # folders of our own packages, built to wheels
    files: tuple[str, ...] = ()  # files and folders that the Dockerfile copies
    debian: tuple[str, ...] = ()  # Debian packages that the Dockerfile installs


def _python(name: str, *packages: str, files: tuple[str, ...] = ()) -> Image:
    return Image(
        name,
        f"localhost/botfleet/{name}:dev",
        f"Dockerfile.{name}",
        requirements=f"requirements/{name}.txt",
        packages=packages,
        files=(*RECIPES, *files),
    )


def _server(name: str, tag: str, package: str) -> Image:
    return Image(
        name,
        f"localhost/botfleet/{name}:{tag}",
        f"images/Dockerfile.{name}",
        files=("images/install-debian.sh", f"images/{name}-entrypoint.sh"),
        debian=(package,),
    )


CATALOG: dict[str, Image] = {
    image.name: image
    for image in (
        _python("runner", "core", "botrunner"),
        _python("operator", "core", "operator", files=("migrations",)),
        _python("simulator", "simulator"),
        _server("postgres", "15", "postgresql-15"),
        _server("redis", "7", "redis-server"),
    )
}


def chosen(names: tuple[str, ...]) -> list[Image]:
    """The images of these names in the table's order; all of them when no name is given.

    Raises UnknownImageError naming those that there are.
    """
    unknown = sorted(set(names) - set(CATALOG))
    if unknown:
        raise UnknownImageError(f"no image is called {', '.join(unknown)}; there are {', '.join(CATALOG)}")
    return [image for name, image in CATALOG.items() if not names or name in names]
