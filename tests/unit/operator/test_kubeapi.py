"""The client: typed errors, deadlines, watches that cannot stall unseen. Against a server in the same process."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import kopf
import pytest
from aiohttp import web

from botfleet_operator.kubeapi import (
    DEPLOYMENTS,
    NAMESPACES,
    SECRETS,
    ConflictError,
    Credentials,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubeApi,
    KubeError,
    NotFoundError,
    NotLeadingError,
    OverloadedError,
    ServerSideError,
    UnauthorizedError,
    UnreachableError,
)
from botfleet_operator.kubeapi.credentials import connection_info

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers with what the test says; remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Handler = self.ok
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.url = ""

    async def ok(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {"name": "x", "resourceVersion": "1"}})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.text()
        self.requests.append((request.method, request.path, dict(request.query), body))
        return await self.answer(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    app = web.Application()
    app.add_routes([web.route("*", "/{tail:.*}", made.handle)])
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
async def api(server: Server) -> AsyncIterator[KubeApi]:
    made = KubeApi(
        Credentials(kopf.ConnectionInfo(server=server.url, token="planted-token")),
        timeout_seconds=30,
        watch_idle_seconds=30,
    )
    yield made
    await made.close()


def status(code: int, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"reason": "Because", "message": "said"}, status=code, headers=headers)

    return answer


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, UnauthorizedError),
        (403, ForbiddenError),
        (409, ConflictError),
        (410, GoneError),
        (422, InvalidError),
        (429, OverloadedError),
        (500, ServerSideError),
        (503, ServerSideError),
        (418, KubeError),
    ],
)
async def test_an_answer_that_is_no_success_is_a_typed_error(
    server: Server, api: KubeApi, code: int, kind: type[KubeError]
) -> None:
    server.answer = status(code, **{"Retry-After": "7"})
    with pytest.raises(kind) as raised:
        await api.get(SECRETS, "ns", "x")
    assert raised.value.status == code
    assert raised.value.retry_after == 7
    assert "planted" not in str(raised.value)


async def test_absence_is_none_for_a_get_and_no_error_for_a_delete(server: Server, api: KubeApi) -> None:
    server.answer = status(404)
    assert await api.get(SECRETS, "ns", "x") is None
    await api.delete(SECRETS, "ns", "x", uid="u")
    with pytest.raises(NotFoundError):
        await api.apply(SECRETS, "ns", "x", {"metadata": {}}, uid=None)


async def test_no_answer_in_time_is_unreachable(server: Server) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.answer = hang
    hasty = KubeApi(Credentials(kopf.ConnectionInfo(server=server.url)), timeout_seconds=0.1)
    with pytest.raises(UnreachableError):
        await hasty.get(SECRETS, "ns", "x")
    await hasty.close()


async def test_a_refused_connection_and_nonsense_are_errors_of_ours(server: Server) -> None:
    nobody = KubeApi(Credentials(kopf.ConnectionInfo(server="http://127.0.0.1:9")), timeout_seconds=30)
    with pytest.raises(UnreachableError):
        await nobody.get(SECRETS, "ns", "x")
    await nobody.close()

    async def text(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", status=502)

    server.answer = text
    proxied = KubeApi(Credentials(kopf.ConnectionInfo(server=server.url)), timeout_seconds=30)
    with pytest.raises(ServerSideError, match="html"):
        await proxied.get(SECRETS, "ns", "x")
    await proxied.close()


async def test_a_rotated_token_is_read_again_once(server: Server, api: KubeApi) -> None:
    answers = [status(401), server.ok]

    async def first_refused(request: web.Request) -> web.StreamResponse:
        return await answers.pop(0)(request)

    server.answer = first_refused
    assert await api.get(SECRETS, "ns", "x")
    server.answer = status(401)
    with pytest.raises(UnauthorizedError):
        await api.get(SECRETS, "ns", "x")
    assert len(server.requests) == 4


async def test_an_apply_is_strict_forced_and_answered_with_metadata_alone(server: Server, api: KubeApi) -> None:
    manifest = {"metadata": {"name": "x"}}
    await api.apply(DEPLOYMENTS, "ns", "x", manifest, uid="u")
    method, path, query, body = server.requests[0]
    assert (method, path) == ("PATCH", "/apis/apps/v1/namespaces/ns/deployments/x")
    assert query == {"fieldManager": "botfleet-operator", "fieldValidation": "Strict", "force": "true"}
    assert json.loads(body) == {"metadata": {"name": "x", "uid": "u"}}
    assert manifest == {"metadata": {"name": "x"}}
    assert NAMESPACES.path(None, "kube-system") == "/api/v1/namespaces/kube-system"


async def test_an_apply_of_what_is_not_there_names_a_version_that_no_object_has(server: Server, api: KubeApi) -> None:
    """What an API server makes of it: tests/integration/crd/test_meant.py."""
    manifest = {"metadata": {"name": "x"}}
    await api.apply(DEPLOYMENTS, "ns", "x", manifest, uid=None)
    assert json.loads(server.requests[0][3]) == {"metadata": {"name": "x", "resourceVersion": "1"}}
    assert manifest == {"metadata": {"name": "x"}}


async def test_who_does_not_lead_writes_nothing(server: Server, api: KubeApi) -> None:
    def refuse() -> None:
        raise NotLeadingError("no")

    api.with_guard(refuse)
    for write in (
        api.apply(SECRETS, "ns", "x", {}, uid=None),
        api.patch(SECRETS, "ns", "x", {}, content_type="application/merge-patch+json"),
        api.delete(SECRETS, "ns", "x", uid="u"),
    ):
        with pytest.raises(NotLeadingError):
            await write
    assert server.requests == []
    await api.get(SECRETS, "ns", "x")


async def test_a_list_comes_in_pages_and_an_empty_one_may_be_null(server: Server, api: KubeApi) -> None:
    pages: list[dict[str, Any]] = [
        {"metadata": {"resourceVersion": "5", "continue": "more"}, "items": [{"a": 1}]},
        {"metadata": {"resourceVersion": "5"}, "items": None},
    ]

    async def page(_: web.Request) -> web.StreamResponse:
        return web.json_response(pages.pop(0))

    server.answer = page
    got = [p async for p in api.list_pages(SECRETS, "ns", selector="a=b", metadata_only=True)]
    assert [(p.items, p.resource_version) for p in got] == [([{"a": 1}], "5"), ([], "5")]
    assert [q.get("continue") for _, _, q, _ in server.requests] == [None, "more"]


def stream(*lines: bytes, hang: bool = False) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line)
        if hang:
            await asyncio.Event().wait()
        return response

    return answer


async def test_a_watch_reads_lines_however_they_are_cut_and_however_long(server: Server, api: KubeApi) -> None:
    long = json.dumps({"type": "MODIFIED", "object": {"metadata": {"note": "x" * 300_000}}}).encode()
    server.answer = stream(b'{"type":"ADDED","obj', b'ect":{}}\n' + long[:100], long[100:] + b"\n\n")
    events = [e async for e in api.watch(SECRETS, "ns", since="1")]
    assert [e.type for e in events] == ["ADDED", "MODIFIED"]


@pytest.mark.looptime  # how long the processor is away does not count
async def test_a_watch_that_is_silent_is_noticed(server: Server) -> None:
    server.answer = stream(b'{"type":"ADDED","object":{}}\n', hang=True)
    impatient = KubeApi(Credentials(kopf.ConnectionInfo(server=server.url)), watch_idle_seconds=0.5)
    seen = []
    with pytest.raises(UnreachableError):
        async with asyncio.timeout(20):
            async for event in impatient.watch(SECRETS, "ns", since="1"):
                seen.append(event.type)  # noqa: PERF401 -- what came before the error counts
    await impatient.close()
    assert seen == ["ADDED"]


async def test_a_watch_that_is_too_old_says_gone_in_either_form(server: Server, api: KubeApi) -> None:
    server.answer = stream(b'{"type":"ERROR","object":{"code":410,"message":"too old"}}\n')
    with pytest.raises(GoneError):
        [e async for e in api.watch(SECRETS, "ns", since="1")]
    server.answer = status(410)
    with pytest.raises(GoneError):
        [e async for e in api.watch(SECRETS, "ns", since="1")]
    server.answer = stream(b'{"type":"ERROR","object":{"code":500,"message":"etcd"}}\n')
    with pytest.raises(ServerSideError):
        [e async for e in api.watch(SECRETS, "ns", since="1")]
    server.answer = status(401)
    with pytest.raises(UnauthorizedError):
        [e async for e in api.watch(SECRETS, "ns", since="1")]


async def test_every_request_is_counted(server: Server) -> None:
    seen: list[tuple[str, str, int]] = []
    counted = KubeApi(Credentials(kopf.ConnectionInfo(server=server.url)), on_request=lambda *what: seen.append(what))
    await counted.get(SECRETS, "ns", "x")
    server.answer = status(409)
    with pytest.raises(ConflictError):
        await counted.create(SECRETS, "ns", {})
    with pytest.raises(ConflictError):
        [event async for event in counted.watch(SECRETS, "ns", since="1")]
    await counted.close()
    nobody = KubeApi(
        Credentials(kopf.ConnectionInfo(server="http://127.0.0.1:1")), on_request=lambda *what: seen.append(what)
    )
    with pytest.raises(UnreachableError):
        [event async for event in nobody.watch(SECRETS, "ns", since="1")]
    await nobody.close()
    assert seen == [
        ("get", "secrets", 200), ("create", "secrets", 409), ("watch", "secrets", 409), ("watch", "secrets", 0),
    ]  # fmt: skip


def test_without_any_way_to_log_in_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    with pytest.raises(kopf.LoginError, match="KUBECONFIG"):
        connection_info()


def test_credentials_are_read_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["first", "second"])
    module = "botfleet_operator.kubeapi.credentials"
    monkeypatch.setattr(f"{module}.connection_info", lambda: kopf.ConnectionInfo(server="s", token=next(tokens)))
    clock = [0.0]
    monkeypatch.setattr(f"{module}.time.monotonic", lambda: clock[0])
    credentials = Credentials()
    assert credentials.headers() == {"Authorization": "Bearer first"}
    clock[0] = 61
    assert credentials.headers() == {"Authorization": "Bearer second"}
