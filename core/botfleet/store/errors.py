"""Why: callers decide by the kind of trouble, not by a driver's exceptions. No message here ever holds a row's values."""


class StoreError(Exception):
    """The store refused, or did not do, what was asked. Trying the same again will not help."""


class StoreUnavailable(StoreError):  # noqa: N818 - named for what it tells
    """The connection is gone, or no answer came in time: worth a retry. Whether a write took place is unknown."""


class LeaseLost(StoreError):  # noqa: N818 - named for what it tells
    """The lease's token is stale: another runner has taken over. Nothing was written."""


class SchemaIncompatible(StoreError):  # noqa: N818 - named for what it tells
    """The database's schema is not one that this program can use."""
