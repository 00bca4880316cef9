"""The command line of the image build: `botfleet-images build` and `botfleet-images list`.

It shows and asks; what is done is build.py's business.
"""

import time
from pathlib import Path
from typing import Annotated

import typer

from botfleet_tools.errors import ToolError
from botfleet_tools.images.build import BuiltImage, build_images
from botfleet_tools.images.builder import BuilderName
from botfleet_tools.images.catalog import CATALOG
from botfleet_tools.progress import Progress

MEBIBYTE = 1024 * 1024

app = typer.Typer(help="Build the images of Botfleet, with Docker or buildah.", no_args_is_help=True)


@app.command()
def build(
    names: Annotated[list[str] | None, typer.Argument(help="which images; all of them without a name")] = None,
    output: Annotated[Path | None, typer.Option(help="also put each archive here, as NAME.tar")] = None,
    builder: Annotated[BuilderName, typer.Option(help="auto: Docker where it runs, buildah elsewhere")] = "auto",
) -> None:
    """Build what has changed, and print each image's reference, digest, size and archive."""
    progress = Progress()
    start = time.monotonic()
    built = build_images(*(names or ()), output=output, builder=builder, progress=progress)
    for image in built.values():
        print(line(image))
    new = sum(not image.cached for image in built.values())
    progress.say(f"{new} built, {len(built) - new} unchanged, in {time.monotonic() - start:.1f} s")


@app.command("list")
def list_images() -> None:
    """Print the names and references of the images that there are."""
    for image in CATALOG.values():
        print(f"{image.name}\t{image.reference}")


def line(image: BuiltImage) -> str:
    """What a person, or a script that cuts at tabs, wants to know of a built image."""
    size = f"{image.archive.stat().st_size / MEBIBYTE:.0f} MiB"
    return "\t".join((image.name, image.reference, image.digest, size, str(image.archive)))


def main() -> None:
    """Run the command line; an error meant for people is printed without a traceback."""
    try:
        app()
    except ToolError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
