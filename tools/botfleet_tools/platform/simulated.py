"""Why: a simulated Telegram and a simulated model inside the cluster, with accounts that are made once and then kept.

Everything secret of them (tokens, model keys, the server's private key) is random and lies in Secrets of the cluster.
"""

import base64
import json
import secrets
from dataclasses import asdict, dataclass
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from botfleet_tools.cluster import Cluster
from botfleet_tools.errors import ToolError
from botfleet_tools.platform.diagnosis import explained
from botfleet_tools.progress import Progress

NAMESPACE = "simulated"
TELEGRAM_HOST = f"telegram.{NAMESPACE}.svc.cluster.local"
MTPROTO_PORT = 8443
MODEL_PORT = 8080
MODEL_URL = f"http://model.{NAMESPACE}.svc.cluster.local:{MODEL_PORT}/v1"
SERVER_SECRET = "telegram-server"  # noqa: S105 -- the name of a Secret
ACCOUNTS_SECRET = "accounts"  # noqa: S105

# What the chart is given so that manifests written for the real Telegram and the real model work here unchanged.
BOT_DEFAULTS: dict[str, Any] = {
    "account": {
        "dataCenter": {
            "id": 2,
            "address": TELEGRAM_HOST,
            "port": MTPROTO_PORT,
            "publicKeySecretRef": {"name": SERVER_SECRET, "key": "public.pem"},
        }
    },
    "model": {"baseUrl": MODEL_URL},
    # They are pods of the cluster, and bots reach public addresses only.
    "network": {
        "egress": [
            {
                "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}}],
                "ports": [{"port": MTPROTO_PORT}, {"port": MODEL_PORT}],
            }
        ]
    },
}


@dataclass(frozen=True)
class SimulatedBot:
    """A bot account of the simulated Telegram, and the model key that its TelegramBot uses."""

    namespace: str
    name: str
    id: int
    username: str
    token: str
    model_key: str


@dataclass(frozen=True)
class SimulatedPerson:
    """Somebody who writes to the bots."""

    id: int
    phone: str
    name: str


@dataclass(frozen=True)
class Simulation:
    """All accounts, and the keys of the simulated servers."""

    bots: tuple[SimulatedBot, ...]
    people: tuple[SimulatedPerson, ...]
    private_key: str
    public_key: str
    api_hash: str

    def bot(self, name: str) -> SimulatedBot:
        """The bot whose TelegramBot is called `name` or `namespace/name`."""
        found = [b for b in self.bots if name in (b.name, f"{b.namespace}/{b.name}")]
        if len(found) != 1:
            raise LookupError(f"no bot {name!r}; there are: " + ", ".join(f"{b.namespace}/{b.name}" for b in self.bots))
        return found[0]


EXAMPLE_BOTS = (("hotel", "concierge"), ("hotel", "spa"), ("shop", "support"))
PEOPLE = ("Alice", "Bakyt", "Chiara", "Dana")


def new_simulation() -> Simulation:
    """Fresh accounts for the bots of examples/ and for four people."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
    bots = tuple(
        SimulatedBot(
            namespace,
            name,
            5_000_001 + i,
            f"{name}_bot",
            f"{5_000_001 + i}:AA{secrets.token_hex(16)}",
            f"sk-{secrets.token_hex(16)}",
        )
        for i, (namespace, name) in enumerate(EXAMPLE_BOTS)
    )
    people = tuple(SimulatedPerson(1001 + i, f"+99900000{i + 1:02d}", name) for i, name in enumerate(PEOPLE))
    return Simulation(bots, people, private.decode(), public.decode(), secrets.token_hex(16))


def ensure(cluster: Cluster, image: str, progress: Progress) -> Simulation:
    """Runs both simulators in the cluster and returns their accounts; those of an earlier call are kept.

    Raises:
        ToolError: they did not come up; with what is not well.
    """
    with progress.step("Starting the simulated Telegram and model") as step, explained(cluster):
        apply(cluster, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        simulation = _stored(cluster)
        if simulation is None:
            simulation = new_simulation()
            apply(cluster, secret(NAMESPACE, ACCOUNTS_SECRET, {"simulation.json": _dump(simulation)}))
        apply(cluster, *_objects(simulation, image))
        step.update("waiting for both")
        for name in ("telegram", "model"):
            cluster.kubectl(
                "-n", NAMESPACE, "rollout", "status", f"deployment/{name}", "--timeout=120s", deadline_seconds=130
            )
    return simulation


def owner_secrets(simulation: Simulation) -> list[dict[str, Any]]:
    """What an owner of the example bots makes beside them: namespaces and labelled Secrets."""
    namespaces = sorted({bot.namespace for bot in simulation.bots})
    out: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in namespaces]
    for namespace in namespaces:
        out.append(secret(namespace, "telegram-app", {"api-id": "12345", "api-hash": simulation.api_hash}, usable=True))
        out.append(secret(namespace, SERVER_SECRET, {"public.pem": simulation.public_key}, usable=True))
    for bot in simulation.bots:
        keys = {"token": bot.token}
        if bot.name == "concierge":
            out.append(secret(bot.namespace, "openai", {"api-key": bot.model_key}, usable=True))
        else:
            keys["api-key"] = bot.model_key
        out.append(secret(bot.namespace, bot.name, keys, usable=True))
    return out


def secret(namespace: str, name: str, values: dict[str, str], *, usable: bool = False) -> dict[str, Any]:
    """A Secret; `usable` by bots when it carries the label."""
    labels = {"botfleet.dev/credentials": "true"} if usable else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "stringData": values,
    }


def apply(cluster: Cluster, *objects: dict[str, Any]) -> str:
    """`kubectl apply` of these objects, by standard input: no secret on a command line."""
    return cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=yaml.safe_dump_all(objects))


def stored(cluster: Cluster) -> Simulation:
    """The accounts of a simulation that runs.

    Raises:
        ToolError: there is none.
    """
    simulation = _stored(cluster)
    if simulation is None:
        raise ToolError("no simulated Telegram runs in this cluster; start it: make demo")
    return simulation


def _stored(cluster: Cluster) -> Simulation | None:
    text = cluster.kubectl("-n", NAMESPACE, "get", "secret", ACCOUNTS_SECRET, "--ignore-not-found", "-o", "json")
    if not text.strip():
        return None
    raw = json.loads(base64.b64decode(json.loads(text)["data"]["simulation.json"]))
    raw["bots"] = tuple(SimulatedBot(**b) for b in raw["bots"])
    raw["people"] = tuple(SimulatedPerson(**p) for p in raw["people"])
    return Simulation(**raw)


def _dump(simulation: Simulation) -> str:
    return json.dumps(asdict(simulation))


def accounts_file(simulation: Simulation) -> str:
    """The accounts as the simulator reads them."""
    return yaml.safe_dump(
        {
            "bots": [
                {"id": b.id, "token": b.token, "username": b.username, "name": b.name.title()} for b in simulation.bots
            ],
            "people": [
                {"id": p.id, "phone": p.phone, "name": p.name, "username": p.name.lower()} for p in simulation.people
            ],
        }
    )


def _objects(simulation: Simulation, image: str) -> list[dict[str, Any]]:
    files = {"accounts.yaml": accounts_file(simulation), "private.pem": simulation.private_key}
    keys = {"keys.txt": "".join(f"{bot.model_key}\n" for bot in simulation.bots)}
    telegram = [
        "telegram", "--host", "0.0.0.0", "--port", str(MTPROTO_PORT), "--admin-host", "127.0.0.1", "--admin-port", "8444",
        "--state", "/state", "--private-key", "/files/private.pem", "--accounts", "/files/accounts.yaml", "--public-host", TELEGRAM_HOST,
    ]  # fmt: skip
    model = [
        "model",
        "--host",
        "0.0.0.0",
        "--port",
        str(MODEL_PORT),
        "--admin-host",
        "127.0.0.1",
        "--admin-port",
        "8081",
        "--keys",
        "/files/keys.txt",
    ]
    return [
        secret(NAMESPACE, "telegram-files", files),
        secret(NAMESPACE, "model-files", keys),
        # Telegram does not forget its accounts' keys when it is updated; bots would have to log in anew.
        _claim("telegram-state"),
        _deployment(
            "telegram", image, telegram, MTPROTO_PORT, {"persistentVolumeClaim": {"claimName": "telegram-state"}}
        ),
        _service("telegram", MTPROTO_PORT),
        _deployment("model", image, model, MODEL_PORT, {"emptyDir": {}}),
        _service("model", MODEL_PORT),
    ]


def _claim(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }


def _deployment(name: str, image: str, args: list[str], port: int, state: dict[str, Any]) -> dict[str, Any]:
    container = {
        "name": "simulator",
        "image": image,
        "imagePullPolicy": "Never",
        "args": args,
        "ports": [{"containerPort": port}],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        "volumeMounts": [
            {"name": "files", "mountPath": "/files", "readOnly": True},
            {"name": "state", "mountPath": "/state"},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    labels = {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "runAsGroup": 65532,
                        "fsGroup": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": [
                        {"name": "files", "secret": {"secretName": f"{name}-files"}},
                        {"name": "state", **state},
                    ],
                },
            },
        },
    }


def _service(name: str, port: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"app.kubernetes.io/name": name}, "ports": [{"port": port, "targetPort": port}]},
    }
