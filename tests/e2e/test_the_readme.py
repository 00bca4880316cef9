"""Promises of README.md and docs/install.md to somebody with a cluster, a PostgreSQL and a Redis of her own: each command, literally.

A cluster of its own. What differs from the page: there is no registry, so the built images are loaded under the names of
`my-values.yaml`; and which Telegram and model are meant, which says `bots.defaults`.
"""

import asyncio
import os
import re
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
import yaml

from botfleet_simulator.client import ModelAdmin, TelegramAdmin
from botfleet_simulator.person import Person
from botfleet_tools import cache
from botfleet_tools.binaries import Program, resolve
from botfleet_tools.cluster import Cluster
from botfleet_tools.images import build_images
from botfleet_tools.pki import Authority
from botfleet_tools.platform import simulated
from botfleet_tools.platform.forward import forwarded
from botfleet_tools.platform.simulated import MTPROTO_PORT, NAMESPACE, Simulation
from botfleet_tools.progress import Progress
from botfleet_tools.servers import Postgres
from tests.e2e.conftest import REPLY_SECONDS, node_can_be_made, wait_for
from tests.e2e.logs import LogKeeper
from tests.e2e.searching import finds_all, search, secrets_of, words_of
from tests.pages import block, checkout

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).parents[2]
POSTGRES_HOST = "postgres.servers.svc.cluster.local"
REDIS_HOST = "redis.servers.svc.cluster.local"
SERVERS = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "servers"}}}]
ROLES = ("owner", "operator", "redis")  # each has a file NAME-password


@dataclass
class Owner:
    """Somebody at a shell, in a folder with a checkout's files, who has kubectl, helm and psql."""

    cluster: Cluster
    folder: Path
    environment: dict[str, str]
    logs: LogKeeper

    def types(self, commands: str, **more: str) -> str:
        """Runs a block of the documentation as it stands."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder, env=self.environment | more, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    node_can_be_made()
    progress = Progress()
    cluster = Cluster.ensure(name="botfleet-readme", progress=progress)
    logs = LogKeeper(cluster.kubeconfig, tmp_path_factory.mktemp("logs"))
    logs.start()
    try:
        folder = tmp_path_factory.mktemp("checkout")
        checkout(folder)
        programs = folder / "programs"
        programs.mkdir()
        for program in (Program.KUBECTL, Program.HELM):
            (programs / program.value).symlink_to(resolve(program, progress))
        home = folder / "home"
        home.mkdir()
        psql = Postgres.obtain("15", progress)
        yield Owner(
            cluster,
            folder,
            {
                "HOME": str(home),
                "XDG_CACHE_HOME": str(cache.cache_dir().parent),  # the home is new, the images need not be
                "KUBECONFIG": str(cluster.kubeconfig),
                "PATH": f"{programs}:{psql}:{os.environ['PATH']}",
            },
            logs,
        )
    finally:
        logs.stop()
        cluster.down()


@dataclass
class Servers:
    """A PostgreSQL that speaks TLS and a Redis, which no chart of ours made."""

    superuser_password: str
    authority: bytes
    simulator: str  # the image of the simulated Telegram and model


@pytest.fixture(scope="module")
def servers(owner: Owner) -> Servers:
    images = build_images("simulator", "postgres", "redis", progress=Progress())
    owner.cluster.load_image(*(image.archive for image in images.values()))
    authority = Authority("somebody's authority")
    pair = authority.issue("postgres", dns=[POSTGRES_HOST])
    password = secrets.token_hex(16)
    security = {"runAsNonRoot": True, "runAsUser": 999, "runAsGroup": 999, "fsGroup": 999}

    def server(name: str, port: int, args: list[str], environment: dict[str, str]) -> list[dict[str, Any]]:
        labels = {"app": name}
        container = {
            "name": name,
            "image": images[name].reference,
            "imagePullPolicy": "Never",
            "args": args,
            "env": [{"name": key, "value": value} for key, value in environment.items()],
            "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
            "volumeMounts": [{"name": "files", "mountPath": "/files"}],
        }
        template = {
            "metadata": {"labels": labels},
            "spec": {
                "securityContext": security,
                "containers": [container],
                "volumes": [{"name": "files", "secret": {"secretName": "files", "defaultMode": 0o440}}],
            },
        }
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        meta = {"name": name, "namespace": "servers"}
        service = {"selector": labels, "ports": [{"port": port}]}
        return [
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
            {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service},
        ]

    files = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode(), "superuser": password}
    tls = ["-c", "ssl=on", "-c", "ssl_cert_file=/files/tls.crt", "-c", "ssl_key_file=/files/tls.key"]
    simulated.apply(
        owner.cluster,
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "servers"}},
        simulated.secret("servers", "files", files),
        *server("postgres", 5432, ["postgres", *tls], {"POSTGRES_PASSWORD_FILE": "/files/superuser"}),
        *server("redis", 6379, ["redis-server", "--port", "6379"], {}),
    )
    for name in ("postgres", "redis"):
        status = ("rollout", "status", f"deployment/{name}", "--timeout=120s")
        owner.cluster.kubectl("-n", "servers", *status, deadline_seconds=130)
    return Servers(password, authority.pair.certificate, images["simulator"].reference)


@pytest.fixture(scope="module")
def prepared(owner: Owner, servers: Servers) -> Servers:
    """What docs/install.md says of an own PostgreSQL and an own Redis, done."""
    for role in ROLES[:2]:
        (owner.folder / f"{role}-password").write_text(secrets.token_hex(16) + "\n")
    (owner.folder / "ca.crt").write_bytes(servers.authority)
    with forwarded(owner.cluster, "servers", "deployment/postgres", 5432) as ports:
        owner.types(
            block("docs/install.md", "Your own PostgreSQL", "console", "createdb"),
            PGHOST="127.0.0.1",
            PGPORT=str(ports[5432]),
            PGUSER="postgres",
            PGPASSWORD=servers.superuser_password,
            # A port-forward ends when a connection in it is reset, as PostgreSQL does at the end of one with TLS.
            PGSSLMODE="disable",
        )
    password = secrets.token_hex(16)
    rule = block("docs/install.md", "Your own Redis", "text", "SETUSER").replace("PASSWORD", password)
    with (
        forwarded(owner.cluster, "servers", "deployment/redis", 6379) as ports,
        redis.Redis(host="127.0.0.1", port=ports[6379], protocol=2) as client,
    ):
        client.execute_command(*rule.split())
        client.execute_command("ACL", "SETUSER", "default", "off")
    (owner.folder / "redis-password").write_text(password)
    owner.types(block("docs/install.md", "Your own Redis", "console", "create secret"))
    return servers


@pytest.fixture(scope="module")
def simulation(owner: Owner, servers: Servers) -> Simulation:
    return simulated.ensure(owner.cluster, servers.simulator, Progress())


@pytest.fixture(scope="module")
def installed(owner: Owner, prepared: Servers, simulation: Simulation) -> None:
    """The section of README.md about an own cluster, up to the platform."""
    section = "A real bot in your cluster"
    build = block("README.md", section, "console", "botfleet-images build")
    owner.types(build.replace("make venv\n", ""))  # it is what runs this
    values = block("README.md", section, "yaml", "registry.example.org")
    parsed = yaml.safe_load(values)
    images = build_images("runner", "operator", progress=Progress())
    for name, archive in (("runner", "bots"), ("operator", "operator")):
        named = parsed[archive]["image"]
        owner.cluster.load_image(*(owner.folder / "images-built").glob(f"{name}*"))
        owner.cluster.tag_image(images[name].reference, f"{named['repository']}:{named['tag']}")
    parsed["bots"]["defaults"] = simulated.BOT_DEFAULTS
    own = yaml.safe_load(block("docs/install.md", "Your own PostgreSQL", "yaml", "external"))
    own["postgres"]["external"] |= {"host": POSTGRES_HOST, "peers": SERVERS}
    parsed |= own
    own = yaml.safe_load(block("docs/install.md", "Your own Redis", "yaml", "external"))
    own["redis"]["external"] |= {
        "host": REDIS_HOST,
        "peers": SERVERS,
        "tls": False,
    }  # the images know no authority of this test
    parsed |= own
    (owner.folder / "my-values.yaml").write_text(yaml.safe_dump(parsed))
    owner.types(block("README.md", section, "console", "helm install"))


async def answers(owner: Owner, simulation: Simulation, bot: str, number: int) -> None:
    with forwarded(owner.cluster, NAMESPACE, "deployment/telegram", MTPROTO_PORT, 8444) as ports:
        admin = TelegramAdmin(f"http://127.0.0.1:{ports[8444]}")
        person = simulation.people[0]
        async with Person(
            "127.0.0.1", ports[MTPROTO_PORT], simulation.public_key, phone=person.phone, admin=admin
        ) as writer:
            await writer.say(simulation.bot(bot).username, f"message {number}")
            reply = await writer.wait_reply(simulation.bot(bot).username, timeout=REPLY_SECONDS)
            assert str(number) in reply.text


@pytest.fixture(scope="module")
def concierge(owner: Owner, installed: None, simulation: Simulation) -> str:
    """Steps 3 and 4 of the README: the Secrets from files, and the bot; what its last commands print."""
    bot = simulation.bot("concierge")
    written = {
        "telegram-app/api-id": "12345",
        "telegram-app/api-hash": simulation.api_hash,
        "concierge/token": bot.token,
        "openai/api-key": bot.model_key,
    }
    named = set(re.findall(r"^nano ~/secrets/(\S+)$", (ROOT / "README.md").read_text(), re.M))
    assert set(written) == named, "the files that the README asks for"
    for path, value in written.items():
        file = owner.folder / "home/secrets" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")  # as an editor writes it
    section = "A real bot in your cluster"
    owner.types(block("README.md", section, "console", "create secret"))
    simulated.apply(
        owner.cluster,
        simulated.secret("hotel", simulated.SERVER_SECRET, {"public.pem": simulation.public_key}, usable=True),
    )
    manifest = block("README.md", section, "yaml", "kind: TelegramBot")
    assert yaml.safe_load(manifest) == yaml.safe_load((ROOT / "examples/concierge.yaml").read_text())
    return owner.types(block("README.md", section, "console", "describe"))


async def test_the_readmes_commands_bring_a_bot_that_answers(
    owner: Owner, simulation: Simulation, concierge: str
) -> None:
    assert "condition met" in concierge
    assert "concierge_bot" in concierge
    await answers(owner, simulation, "concierge", 7001)


def test_every_connection_to_an_external_postgresql_is_encrypted(
    owner: Owner, prepared: Servers, concierge: str
) -> None:
    with (
        forwarded(owner.cluster, "servers", "deployment/postgres", 5432) as ports,
        psycopg.connect(
            host="127.0.0.1",
            port=ports[5432],
            dbname="botfleet",
            user="postgres",
            password=prepared.superuser_password,
            sslmode="disable",
        ) as connection,
    ):
        found = connection.execute(
            "select usename, ssl from pg_stat_activity join pg_stat_ssl using (pid) where usename <> 'postgres'"
        ).fetchall()
    users = {str(name) for name, _ in found}
    assert "botfleet_operator" in users
    assert any(name.startswith("bf_") for name in users), "the bot's role"
    assert all(encrypted for _, encrypted in found)


def test_an_external_redis_gets_a_user_for_the_bot_and_its_events(
    owner: Owner, concierge: str, simulation: Simulation
) -> None:
    password = (owner.folder / "redis-password").read_text()
    with (
        forwarded(owner.cluster, "servers", "deployment/redis", 6379) as ports,
        redis.Redis(
            host="127.0.0.1", port=ports[6379], username="botfleet-operator", password=password, protocol=2
        ) as client,
    ):
        users = [line.split()[1] for line in client.acl_list()]
        # What a bot does is told there a moment later.
        keys = wait_for(lambda: client.info("keyspace") or None, 60, lambda: "no event of the bot came")
    assert any(user.startswith("bf_") for user in users)
    assert keys["db0"]["keys"] == 1, "the bot's stream"


async def test_in_production_two_operators_with_rights_in_named_namespaces_only_run_old_and_new_bots(
    owner: Owner, concierge: str, simulation: Simulation
) -> None:
    simulated.apply(owner.cluster, *simulated.owner_secrets(simulation))
    values = yaml.safe_load((owner.folder / "my-values.yaml").read_text())
    production = yaml.safe_load(block("docs/install.md", "In production", "yaml", "watchNamespaces"))
    values["operator"] |= production["operator"]
    (owner.folder / "my-values.yaml").write_text(yaml.safe_dump(values))
    owner.types(block("docs/install.md", "Upgrade", "console", "helm upgrade"))
    owner.types("kubectl --namespace botfleet rollout status deployment/botfleet-operator --timeout=240s")
    account = "system:serviceaccount:botfleet:botfleet-operator"
    may = "kubectl auth can-i get secrets --namespace {} --as {} || true"
    assert owner.types(may.format("kube-system", account)).strip() == "no"
    assert owner.types(may.format("hotel", account)).strip() == "yes"
    ready = "jsonpath={.status.updatedReplicas} {.status.readyReplicas}"
    assert owner.types(f"kubectl --namespace botfleet get deployment botfleet-operator --output '{ready}'") == "2 2"

    owner.types("kubectl apply --filename examples/support.yaml")
    owner.types("kubectl --namespace shop wait --for=condition=Ready telegrambot/support --timeout=180s")
    await answers(owner, simulation, "support", 7002)
    await answers(owner, simulation, "concierge", 7003)
    owner.types("kubectl --namespace shop delete telegrambot support --timeout=60s")
    await asyncio.to_thread(
        wait_for,
        lambda: owner.types("kubectl --namespace shop get deployments --output name") == "" or None,
        120,
        lambda: "the Deployment is left",
    )


async def test_no_log_of_this_installation_holds_a_secret_or_a_message_either(
    owner: Owner, concierge: str, prepared: Servers, simulation: Simulation
) -> None:
    await answers(owner, simulation, "concierge", 7004)
    assert owner.logs.problems() == []
    texts = {log.path.name: log.text for log in owner.logs.kept() if log.namespace != NAMESPACE}
    for part in ("concierge", "operator", "migrate", "bootstrap", "postgres", "redis"):
        assert any(part in name and text for name, text in texts.items()), f"no log of {part} was kept"
    wanted = secrets_of(owner.cluster.kubectl, simulation) | {"superuser": prepared.superuser_password}
    wanted |= {f"password of {role}": (owner.folder / f"{role}-password").read_text().strip() for role in ROLES}
    with (
        forwarded(owner.cluster, NAMESPACE, "deployment/telegram", 8444) as telegram,
        forwarded(owner.cluster, NAMESPACE, "deployment/model", 8081) as model,
    ):
        words = await words_of(
            TelegramAdmin(f"http://127.0.0.1:{telegram[8444]}"), ModelAdmin(f"http://127.0.0.1:{model[8081]}")
        )
    assert any("message 7004" in word for word in words)
    assert finds_all(wanted | words)
    # A PostgreSQL of one's own logs as its owner says; install.md tells how to keep messages out of it.
    assert search(texts, wanted | words) == []
