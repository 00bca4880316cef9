"""
Why: callers decide by type what an API reply means for them (absent, somebody else was faster, come back later).
Never: decide here what to do about it.
"""

from __future__ import annotations

from typing import Any


class KubeError(Exception):
    """An answer of the API server that is no success, or no answer at all.

    `status` is the HTTP status, 0 without an answer; `reason` the machine-readable reason of the Status object
    (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/).
    """

    retryable = False

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class NotFoundError(KubeError):
    """404: the object, its namespace, or the whole resource is not there."""


class ConflictError(KubeError):
    """409: the object changed meanwhile, exists already, or another manager owns the field."""

    retryable = True


class GoneError(KubeError):
    """410: the resource version is too old; list again."""

    retryable = True


class UnauthorizedError(KubeError):
    """401: the credentials are not accepted (any more)."""

    retryable = True


class ForbiddenError(KubeError):
    """403: a role is missing a verb, a quota is exhausted, or an admission policy refused; or the namespace ends."""

    retryable = True


class InvalidError(KubeError):
    """400, 415, 422: the request can never succeed as it is."""


class OverloadedError(KubeError):
    """429: the server asks for patience; `retry_after` has seconds when it said how long."""

    retryable = True


class ServerSideError(KubeError):
    """5xx: the server, etcd or a webhook behind it failed."""

    retryable = True


class UnreachableError(KubeError):
    """No answer in time: connection refused, reset, time-out. A write may or may not have happened."""

    retryable = True


class NotLeadingError(KubeError):
    """A write was asked for while the leader's Lease is not certainly ours. Nothing was sent."""


_BY_STATUS: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    415: InvalidError,
    422: InvalidError,
    429: OverloadedError,
}


def error_from_status(status: int, body: Any, *, what: str, retry_after: float | None = None) -> KubeError:
    """The typed error for an HTTP status and the Status object (or text) that came with it."""
    message, reason = "", ""
    if isinstance(body, dict):
        message, reason = str(body.get("message") or ""), str(body.get("reason") or "")
    kind = _BY_STATUS.get(status) or (ServerSideError if status >= 500 else KubeError)
    return kind(
        f"{what}: {status} {message or reason or 'no message'}", status=status, reason=reason, retry_after=retry_after
    )
