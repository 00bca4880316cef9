"""A whole installation without nodes: API server, PostgreSQL, Redis, operators as processes, and runners played by rows."""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import redis
import yaml

from botfleet.health import Health
from botfleet.store.engine import Store, create_store
from botfleet.store.errors import StoreError
from botfleet.store.lease import Lease, LeaseRepository
from botfleet_operator.migrate import Setup, migrate
from botfleet_tools.run import CommandFailedError
from botfleet_tools.servers import ApiServer, Postgres, Redis
from botfleet_tools.servers.base import free_port
from tests.integration.operator.cluster import BOTS, context_of, path

ROOT = Path(__file__).parents[3]
BOOTSTRAP = ROOT / "core/botfleet/store/bootstrap.sql"
T = TypeVar("T")
DEADLINE = 30.0  # of what is told by nobody: a quiet machine needs a tenth of it
ANSWER_SECONDS = 10.0
WATCH_SECONDS = 20.0
# What this installation lets a bot ask for in spec.network.egress.
ALLOWED_EGRESS: dict[str, Any] = {
    "to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "models"}}}],
    "ports": [{"port": 8000}],
}


def eventually(look: Callable[[], T], *, deadline: float = DEADLINE, what: str = "") -> T:
    """What `look` returns once it is true; an AssertionError of its own counts as "not yet"."""
    end, last = time.monotonic() + deadline, ""
    while True:
        try:
            value = look()
            if value:
                return value
            last = f"{value!r}"
        except (AssertionError, CommandFailedError, KeyError, IndexError, StopIteration) as error:
            last = f"{type(error).__name__}: {error}"
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what or look}; last: {last[:2000]}")
        time.sleep(0.02)


def install_crds(api: ApiServer) -> None:
    """Both kinds, until they are served. (`kubectl wait` fails where a CRD has no conditions yet.)"""
    api.kubectl("apply", "-f", str(ROOT / "crds"))
    wait = ("wait", "--for=condition=Established", "crd", "--all", "--timeout=20s")
    eventually(lambda: api.kubectl(*wait), deadline=120, what="the CRDs are served")


@dataclass
class Database:
    """The database of one installation, as its administrator and the migrations leave it."""

    postgres: Postgres
    folder: Path
    name: str = field(default_factory=lambda: f"bf_{secrets.token_hex(4)}")
    passwords: dict[str, str] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        return f"{self.name}_owner"

    @property
    def operator(self) -> str:
        return f"{self.name}_operator"

    def url(self, user: str = "") -> str:
        host = f"{self.postgres.host}:{self.postgres.port}/{self.name}"
        return f"postgresql://{user}@{host}" if user else f"postgresql://{host}"

    def file(self, user: str) -> Path:
        return self.folder / user

    def prepare(self) -> None:
        """What a superuser does once, with the SQL that is shipped for it."""
        for user in (self.owner, self.operator):
            self.passwords[user] = secrets.token_urlsafe(16)
            self.file(user).write_text(self.passwords[user])
        with psycopg.connect(self.postgres.dsn, autocommit=True) as connection:
            connection.execute(f"create database {self.name}")
        settings = [f"--set=owner={self.owner}", f"--set=operator={self.operator}"]
        for variable, user in (("owner_password", self.owner), ("operator_password", self.operator)):
            settings.append(f"--set={variable}={self.passwords[user]}")
        subprocess.run(
            ["psql", "-qX", "--set=ON_ERROR_STOP=1", *settings, "-f", str(BOOTSTRAP), self.superuser_dsn],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )

    @property
    def superuser_dsn(self) -> str:
        return self.postgres.dsn_for(self.postgres.user, self.postgres.password, self.name)

    def setup(self) -> Setup:
        return Setup(
            owner_url=self.url(self.owner),
            owner_password=self.passwords[self.owner],
            operator_url=self.url(self.operator),
            operator_password=self.passwords[self.operator],
            folder=ROOT / "migrations",
            deadline_seconds=30,
        )

    def migrate(self) -> str:
        return migrate(self.setup())

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """As superuser, who alone sees everything."""
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            return connection.execute(statement, values or None).fetchall()

    def roles(self) -> set[str]:
        """Login roles of this installation's bots."""
        prefix = f"bf_{self.installation_id}_"
        return {
            name for (name,) in self.query("select rolname from pg_roles where rolcanlogin") if name.startswith(prefix)
        }

    @property
    def installation_id(self) -> str:
        return str(self.query("select id from botfleet.installation")[0][0])


class OperatorProcess:
    """`botfleet-operator` as it runs in a pod, with its log in a file."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.port = free_port()
        self.log = log
        self._environment = {**os.environ, **environment, "BOTFLEET_HTTP_ADDRESS": f"127.0.0.1:{self.port}"}
        # Images have bytecode. Without, each start compiles for itself, which takes longer than the start.
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **changes: str) -> OperatorProcess:
        """`changes`: of its environment, this time."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "botfleet_operator.main"],
                env={**self._environment, **changes},
                stderr=output,
                stdout=output,
            )
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def metrics(self) -> dict[str, float]:
        """The samples of /metrics; empty while nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=ANSWER_SECONDS) as response:
                text = response.read().decode()
        except (http.client.HTTPException, OSError):
            return {}
        return {
            line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
            for line in text.splitlines()
            if line and not line.startswith("#")
        }

    def get(self, path: str) -> int:
        return self.answer(path)[0]

    def answer(self, path: str) -> tuple[int, str]:
        """Status and text; 0 while nothing answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=ANSWER_SECONDS) as response:
                return int(response.status), response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (http.client.HTTPException, OSError):
            return 0, ""

    def leads(self) -> bool:
        assert self.process.poll() is None, f"the operator has ended:\n{self.log.read_text()[-4000:]}"
        return self.metrics().get("botfleet_operator_leader") == 1

    def wait_leading(self, deadline: float = 120.0) -> OperatorProcess:
        eventually(self.leads, deadline=deadline, what="the operator leads")
        return self

    def writes(self) -> float:
        """Requests that change something, but for the leader's Lease. No answer is not the answer that there were none."""
        return sum(
            count
            for name, count in eventually(self.metrics, what="its metrics").items()
            if name.startswith("botfleet_operator_api_requests_total")
            and any(f'verb="{verb}"' in name for verb in ("apply", "patch", "create", "update", "delete"))
            and 'resource="leases"' not in name
        )

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=10)

    def end(self) -> None:
        """Whatever state it is in; gracefully, so that its coverage is written."""
        if self._process is None or self._process.poll() is not None:
            return
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()

    def lines(self) -> list[dict[str, Any]]:
        whole = (line for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n"))
        return [json.loads(line) for line in whole if line.startswith("{")]


@dataclass
class Installation:
    """Servers, database and operators."""

    api: ApiServer
    database: Database
    redis: Redis
    folder: Path
    namespaces: tuple[str, ...] = ()
    operators: list[OperatorProcess] = field(default_factory=list)
    key: str = field(default_factory=lambda: base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("="))

    def prepare(self, namespaces: int = 1) -> None:
        self.folder.joinpath("key").write_text(self.key)
        self.folder.joinpath("redis").write_text(self.redis.password)
        self.namespaces = tuple(f"t-{secrets.token_hex(4)}" for _ in range(namespaces))
        documents = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in self.namespaces]
        self.api.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    @property
    def place(self) -> Place:
        """The first namespace."""
        return Place(self, self.namespaces[0])

    def environment(self, **changes: str) -> dict[str, str]:
        """What the chart would set, with short terms."""
        return {
            "KUBECONFIG": str(self.api.kubeconfig),
            "BOTFLEET_OWN_NAMESPACE": self.namespaces[0],
            "BOTFLEET_NAMESPACES": ",".join(self.namespaces),
            "BOTFLEET_DATABASE_URL": self.database.url(self.database.operator),
            "BOTFLEET_DATABASE_PASSWORD_FILE": str(self.database.file(self.database.operator)),
            "BOTFLEET_REDIS_URL": f"redis://{self.redis.user}@{self.redis.host}:{self.redis.port}/0",
            "BOTFLEET_REDIS_PASSWORD_FILE": str(self.folder / "redis"),
            "BOTFLEET_INSTALLATION_KEY_FILE": str(self.folder / "key"),
            "BOTFLEET_RUNNER_IMAGE": "registry.example/botfleet/runner:test",
            "BOTFLEET_RUNNER_LEASE_TERM_SECONDS": "2",
            "BOTFLEET_LEADER_LEASE_SECONDS": "15",
            "BOTFLEET_SWEEP_SECONDS": "0.5",
            "BOTFLEET_NETWORK_POLICIES": "true",
            "BOTFLEET_NETWORK_ALLOWED_EGRESS": json.dumps([ALLOWED_EGRESS]),
            **changes,
        }

    def operator(self, **changes: str) -> OperatorProcess:
        """A started operator; `wait_leading` waits until it acts."""
        made = OperatorProcess(self.environment(**changes), self.folder / f"operator-{len(self.operators)}.log")
        self.operators.append(made)
        return made.start()

    def redis_users(self) -> set[str]:
        """Redis users of this installation's bots."""
        prefix = f"bf_{self.database.installation_id}_"
        with redis.Redis.from_url(self.redis.url) as client:
            return {str(user) for user in client.acl_users() if str(user).startswith(prefix)}

    def close(self) -> None:
        for operator in self.operators:
            operator.end()


@dataclass(frozen=True)
class Place:
    """A namespace that the installation watches, with an owner's view of it."""

    installation: Installation
    namespace: str

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.installation.api.kubectl("-n", self.namespace, *words, stdin=stdin)

    def apply(self, *documents: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(documents))

    def get(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.kubectl("get", kind, name, "-o", "json")))

    def exists(self, kind: str, name: str) -> bool:
        return bool(self.kubectl("get", kind, name, "--ignore-not-found", "-o", "name"))

    def bot(self, name: str = "concierge") -> dict[str, Any]:
        return self.get("telegrambot", name)

    def phase(self, name: str = "concierge") -> str:
        return str(self.bot(name).get("status", {}).get("phase", ""))

    def condition(self, kind: str, name: str = "concierge") -> dict[str, Any]:
        conditions = self.bot(name).get("status", {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == kind), {})

    def wait(
        self, kind: str, status: str, reason: str | None = None, *, name: str = "concierge", deadline: float = DEADLINE
    ) -> dict[str, Any]:
        """The condition once it is so, seen for the object as it is now."""

        def as_wanted() -> dict[str, Any]:
            bot = self.bot(name)
            assert bot.get("status", {}).get("observedGeneration") == bot["metadata"]["generation"], bot.get("status")
            found = next(c for c in bot["status"].get("conditions", []) if c["type"] == kind)
            assert found["status"] == status, found
            assert reason is None or found["reason"] == reason, found
            return dict(found)

        return eventually(as_wanted, deadline=deadline, what=f"{name}: {kind}={status} {reason or ''}")

    def seconds_after(self, change: Callable[[], object], kind: str, *, name: str = "concierge") -> float:
        """From the end of a change until the condition is True, as a watch tells that was open before: who asks again and again,
        or opens it meanwhile, measures kubectl as well. Raises TimeoutError after 20 s without news."""
        with self._watch(name) as events:
            change()
            began = time.monotonic()
            for bot in events:
                conditions = bot.get("status", {}).get("conditions", [])
                if any(c["type"] == kind and c["status"] == "True" for c in conditions):
                    return time.monotonic() - began
        raise AssertionError(f"the watch of {name} ended")

    @contextmanager
    def _watch(self, name: str) -> Iterator[Iterator[dict[str, Any]]]:
        """A bot as it is from now on, again and again."""
        api = self.installation.api
        context = context_of(str(api.ca), str(api.client_cert), str(api.client_key))
        since = self.bot(name)["metadata"]["resourceVersion"]
        chosen = urllib.parse.urlencode(
            {"watch": 1, "fieldSelector": f"metadata.name={name}", "resourceVersion": since}
        )
        where = f"{api.url}/{path(BOTS, self.namespace)}?{chosen}"
        with urllib.request.urlopen(where, timeout=WATCH_SECONDS, context=context) as answer:  # noqa: S310 -- https
            yield (json.loads(line)["object"] for line in answer)

    def make(self, name: str = "concierge", account: int = 0, **spec: Any) -> None:
        """A bot with its Secrets, provisioned."""
        self.apply(*credentials(name, account or secrets.randbelow(10**9) + 1), bot_of(name, **spec))
        self.wait("Provisioned", "True", name=name)

    def runner(self, name: str = "concierge") -> Runner:
        """A runner of this bot, with the credentials that its pod would have."""
        return Runner(self, name)


class Runner:
    """Plays a bot's runner: its own role, its own lease, its own health. No kubelet is needed for that."""

    def __init__(self, place: Place, name: str) -> None:
        self._place, self._name = place, name
        secret = place.get("secret", f"{name}-botfleet")["data"]
        environment = container_of(place.get("deployment", name))["env"]
        self.environment = {entry["name"]: entry.get("value", "") for entry in environment}
        self.password = base64.b64decode(secret["database-password"]).decode()
        self.redis_password = base64.b64decode(secret["redis-password"]).decode()
        self.spec_digest = place.get("deployment", name)["spec"]["template"]["metadata"]["annotations"][
            "botfleet.dev/spec-digest"
        ]
        self.bot_id = self.environment["BOTFLEET_BUS_PREFIX"].split(":")[2]
        self.store: Store = create_store(self.environment["BOTFLEET_DATABASE_URL"], self.password, pool=1)
        self.leases = LeaseRepository(self.store, self.bot_id)
        self.lease: Lease | None = None

    async def acquire(self, term: float = 2.0) -> Lease:
        """As the runner of a pod that the Deployment has made as it is now."""
        lease = await self.leases.acquire(await asyncio.to_thread(self._pod), term)
        assert lease is not None
        self.lease = lease
        return lease

    def _pod(self) -> str:
        """Plays the Deployment's controller; returns the pod's UID. Nothing runs in it."""
        template = self._place.get("deployment", self._name)["spec"]["template"]
        name = f"{self._name}-{secrets.token_hex(4)}"
        body = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": name}}
        self._place.apply(body)
        return str(self._place.get("pod", name)["metadata"]["uid"])

    async def report(self, **health: Any) -> None:
        """Health of a runner that is connected and authorized, but for what is said otherwise."""
        assert self.lease is not None
        told = {"connected": True, "authorized": True, "account_id": 1, "username": "a_bot", **health}
        await self.leases.report(self.lease, Health(spec_digest=self.spec_digest, **told))

    async def close(self) -> None:
        """It ends with its lease: one that ran out later would be news to the operator in the middle of another test."""
        if self.lease is not None:
            with suppress(StoreError):  # its role may have gone
                await self.leases.release(self.lease)
        await self.store.close()


def container_of(deployment: dict[str, Any]) -> dict[str, Any]:
    return dict(deployment["spec"]["template"]["spec"]["containers"][0])


def secret_of(name: str, *, label: bool = True, **values: str) -> dict[str, Any]:
    """A Secret as an owner makes it; `_` in keys stands for `-`."""
    labels = {"botfleet.dev/credentials": "true"} if label else {}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "labels": labels},
        "stringData": {key.replace("_", "-"): value for key, value in values.items()},
    }


def credentials(name: str = "concierge", account: int = 4242) -> list[dict[str, Any]]:
    """All Secrets that `bot_of(name)` needs."""
    return [
        secret_of("telegram-app", api_id="12345", api_hash="0123456789abcdef0123456789abcdef"),
        secret_of("openai", api_key="sk-planted-model-key"),
        secret_of(name, token=f"{account}:AAplanted-token-of-{name}"),
    ]


def bot_of(name: str = "concierge", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "botfleet.dev/v1alpha1",
        "kind": "TelegramBot",
        "metadata": {"name": name},
        "spec": {
            "account": {
                "type": "Bot",
                "apiCredentialsSecretRef": {"name": "telegram-app"},
                "botTokenSecretRef": {"name": name, "key": "token"},
            },
            "persona": {"prompt": f"You are {name}."},
            "model": {"name": "gpt-5-mini", "apiKeySecretRef": {"name": "openai", "key": "api-key"}},
            **spec,
        },
    }
