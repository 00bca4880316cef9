"""What both servers' HTTP sides share: errors as JSON, checked bodies, long polls, the admin routes of the fault list.

It must never know Telegram or OpenAI.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from botfleet_simulator.faults import FaultBook, UnknownEffectError, UnknownFaultError
from botfleet_simulator.recorder import Pulse

Model = TypeVar("Model", bound=BaseModel)
WAIT_LIMIT_SECONDS = 600.0


class ProblemError(Exception):
    """An answer of the admin API that is no success."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


class Body(BaseModel):
    """A request's JSON: unknown fields are an error, so that a typing mistake is seen."""

    model_config = ConfigDict(extra="forbid")


async def read(request: web.Request, model: type[Model]) -> Model:
    """The request's JSON as that model. Raises ProblemError."""
    text = await request.text() or "{}"
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ProblemError(422, details) from error


def number(request: web.Request, name: str, default: int) -> int:
    """An integer of the query. Raises ProblemError."""
    try:
        return int(request.query.get(name, default))
    except ValueError:
        raise ProblemError(422, f"{name} must be an integer") from None


def patience(request: web.Request, default: float = 10.0) -> float:
    """How long a long poll may last, in seconds. Raises ProblemError."""
    try:
        return min(float(request.query.get("timeout", default)), WAIT_LIMIT_SECONDS)
    except ValueError:
        raise ProblemError(422, "timeout must be a number of seconds") from None


def flag(request: web.Request, name: str) -> bool | None:
    """A boolean of the query; None when it is not there."""
    value = request.query.get(name)
    return None if value is None else value.casefold() in {"1", "true", "yes"}


async def poll(
    pulse: Pulse, look: Callable[[], Any], enough: Callable[[Any], bool], timeout: float, *, pause: float = 0.0
) -> web.Response:
    """Answer with what `look` sees as soon as it is enough; 408 with what there is when the time is up."""
    done = await pulse.until(lambda: enough(look()), timeout, pause=pause)
    return web.json_response(look(), status=200 if done else 408)


def error_middleware(known: Mapping[type[Exception], int]) -> Middleware:
    """Turn the errors that we know into JSON answers with their status."""
    kinds = tuple(known)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProblemError as problem:
            return web.json_response({"error": problem.error}, status=problem.status)
        except (UnknownFaultError, UnknownEffectError) as error:
            return web.json_response({"error": str(error)}, status=404 if isinstance(error, LookupError) else 422)
        except kinds as error:
            status = next(known[kind] for kind in kinds if isinstance(error, kind))
            return web.json_response({"error": str(error)}, status=status)

    return middleware


class NewFault(Body):
    """A fault to switch on."""

    effect: str
    match: dict[str, str] = Field(default_factory=dict)
    times: int | None = Field(default=1, ge=1)
    skip: int = Field(default=0, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    options: dict[str, Any] = Field(default_factory=dict)


class FaultRoutes:
    """The admin routes of a fault list: /faults, /faults/{id}, /faults/{id}/release, /wait/faults/{id}."""

    def __init__(
        self,
        book: FaultBook,
        *,
        lasting: frozenset[str],
        matchers: frozenset[str],
        resolve: Callable[[str, str], str] = lambda _name, value: value,
    ) -> None:
        self._book = book
        self._lasting = lasting
        self._matchers = matchers
        self._resolve = resolve

    def add_to(self, app: web.Application) -> None:
        """Register the routes."""
        app.router.add_get("/faults", self._all)
        app.router.add_post("/faults", self._add)
        app.router.add_delete("/faults", self._clear)
        app.router.add_get("/faults/{id}", self._one)
        app.router.add_delete("/faults/{id}", self._remove)
        app.router.add_post("/faults/{id}/release", self._release)
        app.router.add_get("/wait/faults/{id}", self._wait)

    async def _all(self, _: web.Request) -> web.Response:
        return web.json_response([rule.view() for rule in self._book.all()])

    async def _add(self, request: web.Request) -> web.Response:
        new = await read(request, NewFault)
        unknown = set(new.match) - self._matchers
        if unknown:
            raise ProblemError(
                422, f"no matcher {', '.join(sorted(unknown))}; there are: {', '.join(sorted(self._matchers))}"
            )
        times = None if "times" not in new.model_fields_set and new.effect in self._lasting else new.times
        match = {name: self._resolve(name, value) for name, value in new.match.items()}
        rule = self._book.add(
            new.effect, match=match, times=times, skip=new.skip, seconds=new.seconds, options=new.options
        )
        return web.json_response(rule.view(), status=201)

    async def _one(self, request: web.Request) -> web.Response:
        return web.json_response(self._book.get(_fault_id(request)).view())

    async def _remove(self, request: web.Request) -> web.Response:
        self._book.remove(_fault_id(request))
        return web.json_response({})

    async def _clear(self, _: web.Request) -> web.Response:
        self._book.clear()
        return web.json_response({})

    async def _release(self, request: web.Request) -> web.Response:
        self._book.release(_fault_id(request))
        return web.json_response({})

    async def _wait(self, request: web.Request) -> web.Response:
        rule, hits = self._book.get(_fault_id(request)), number(request, "hits", 1)
        return await poll(self._book.pulse, rule.view, lambda _: rule.hits >= hits, patience(request))


def _fault_id(request: web.Request) -> int:
    text = request.match_info["id"]
    if not text.isdecimal():
        raise ProblemError(404, f"no fault with id {text}")
    return int(text)
