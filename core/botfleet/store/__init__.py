"""The store: tables and repositories. Import the modules themselves; nothing is loaded here that a part may not need."""

from pathlib import Path


def bootstrap_sql() -> str:
    """What a superuser runs once with psql, before the first migration."""
    return (Path(__file__).parent / "bootstrap.sql").read_text()
