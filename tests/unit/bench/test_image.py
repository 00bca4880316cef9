"""Promises of what benchmarks hide from the processes that they weigh."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench.image import HIDDEN, as_in_image

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("image", HIDDEN)
def test_only_what_an_image_does_not_have_is_hidden(image: str) -> None:
    pinned = set(re.findall(r"^([\w-]+)==", (ROOT / f"requirements/{image}.txt").read_text(), re.MULTILINE))
    assert pinned
    assert not pinned & set(HIDDEN[image])


@pytest.mark.parametrize("image", HIDDEN)
def test_what_is_hidden_is_not_found_by_a_library_that_would_use_it(tmp_path: Path, image: str) -> None:
    tried = f"try:\n    import {HIDDEN[image][0]}\nexcept ImportError:\n    print('hidden')"
    done = subprocess.run(
        [sys.executable, "-c", tried], env=as_in_image(tmp_path, image), capture_output=True, text=True, check=True
    )
    assert done.stdout == "hidden\n"
