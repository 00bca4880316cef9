"""Builds the project's images, with Docker where it runs and with buildah elsewhere, from the same Dockerfiles.

Tools only: nothing of the product may import it.
"""

from botfleet_tools.images.archive import ArchivedImage, inspect, unpack
from botfleet_tools.images.build import BuiltImage, build_images
from botfleet_tools.images.catalog import CATALOG, Image

__all__ = ["CATALOG", "ArchivedImage", "BuiltImage", "Image", "build_images", "inspect", "unpack"]
