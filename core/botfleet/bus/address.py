"""Why: whoever is told where Redis is refuses a database that no bot could use, before anything is begun with it."""

from urllib.parse import parse_qs, urlsplit


def check_database(url: str) -> None:
    """Database 0 is the only one: it needs no SELECT, which the users in Redis do not have.

    Raises:
        ValueError: it is no URL, or names another database.
    """
    parts = urlsplit(url)
    if parts.path not in ("", "/", "/0") or set(parse_qs(parts.query).get("db", ())) - {"0"}:
        raise ValueError("bots use database 0 of Redis: their users may not SELECT another")
