"""What holds for every unit test."""

from hypothesis import strategies as st


def pytest_collection_finish() -> None:
    """The table of all characters is made once a checkout, which takes longer than a single test may."""
    st.text().validate()
