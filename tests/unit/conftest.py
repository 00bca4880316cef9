"""What holds for every unit test."""

import gc
from collections.abc import Generator

import pytest
from hypothesis import strategies as st


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is loaded stays. To search it for garbage again and again, while it grows and between tests, takes a fifth of the tier."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


def pytest_collection_finish() -> None:
    """The table of all characters is made once a checkout, which takes longer than a single test may."""
    st.text().validate()
