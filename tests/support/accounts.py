"""Why: tests of rights ask with a service account's own token, as its pod would, and not in its name."""

from pathlib import Path

import yaml

from botfleet_tools import pki
from botfleet_tools.servers import ApiServer


def kubeconfig_of(api: ApiServer, namespace: str, account: str, file: Path) -> Path:
    """A kubeconfig with a token that the API server has made for this service account, written to the file."""
    document = yaml.safe_load(api.kubeconfig.read_text())
    token = api.kubectl("create", "token", account, "--namespace", namespace).strip()
    document["users"][0]["user"] = {"token": token}
    pki.write_secret(file, yaml.safe_dump(document).encode())
    return file
