"""
Why: the watch of kopf and our own client log in the same way, and survive the rotation of a service account's token.
Never: keep a token longer than it may live, write one to disk, or log one.
"""

from __future__ import annotations

import logging
import time

import kopf

_REREAD_AFTER_SECONDS = 60.0  # as client-go does: a mounted token is replaced well before it expires


def connection_info(settings: kopf.OperatorSettings | None = None) -> kopf.ConnectionInfo:
    """The API server and how to log in: the pod's service account, else the kubeconfig ($KUBECONFIG, ~/.kube/config).

    Raises kopf.LoginError when there is neither.
    """
    logger = logging.getLogger("botfleet.operator.login")
    used = settings or kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=used, logger=logger) or kopf.login_with_kubeconfig(
        settings=used, logger=logger
    )
    if not isinstance(found, kopf.ConnectionInfo):
        raise kopf.LoginError(
            "There is neither a service account nor a kubeconfig. Run in a pod whose service account token is mounted, "
            "or set KUBECONFIG to a file with the cluster's address and a user."
        )
    return found


class Credentials:
    """The headers of a request, read again when they may have been rotated."""

    def __init__(self, info: kopf.ConnectionInfo | None = None) -> None:
        self._fixed = info is not None
        self._info = info or connection_info()
        self._read_at = time.monotonic()

    @property
    def info(self) -> kopf.ConnectionInfo:
        return self._info

    def headers(self) -> dict[str, str]:
        """The Authorization header, at most a minute old."""
        if time.monotonic() - self._read_at > _REREAD_AFTER_SECONDS:
            self.refresh()
        return self._info.as_http_headers()

    def refresh(self) -> None:
        """Read token and certificates again (after a 401, or because a minute has passed)."""
        self._read_at = time.monotonic()
        if not self._fixed:
            self._info = connection_info()
