"""The endpoints of the demo API, and functions that run the API on loopback.

`/v1` uses offset pagination, and expects the API key in the query. `/v2` uses cursor pagination, and expects the API
key in a header. `POST /_faults` sets faults, and `GET /_requests` returns the number of requests per endpoint. `GET
/_health` answers when the server is up.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import uvicorn
from pydantic import TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from analytics_assets.demo_api.data import Row, snapshot
from analytics_assets.demo_api.faults import Fault, FaultPlan

DEFAULT_KEY = "demo-key"
DEFAULT_PORT = 8787
PAGE_CAP = 100
_DEFAULT_LIMIT = 50


def create_app(*, api_key: str = DEFAULT_KEY, today: date | None = None) -> Starlette:
    """Creates the ASGI application.

    Args:
        api_key: the key that every data endpoint requires.
        today: the day whose data the API serves; None for the current UTC day, so that data changes overnight.
    """
    api = _Api(api_key, today)
    app = Starlette(
        routes=[
            *(
                Route(f"/v1/{name}", api.by_offset)
                for name in ("customers", "products", "transactions", "events")
            ),
            Route("/v2/orders", api.by_cursor),
            Route("/_faults", api.set_faults, methods=["POST"]),
            Route("/_requests", api.requests),
            Route("/_health", lambda _: Response(status_code=204)),
        ],
        exception_handlers={_BadRequestError: _bad_request},
    )
    app.state.connections = {}
    return app


class _BadRequestError(Exception):
    """A request to the demo API is wrong. The text of this error says what is wrong with the request."""


async def _bad_request(_: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, status_code=400)


class _Api:
    def __init__(self, api_key: str, today: date | None) -> None:
        self._key = api_key
        self._today = today
        self._faults = FaultPlan()

    def _rows(self, request: Request, collection: str) -> list[Row]:
        day = self._today or datetime.now(UTC).date()
        since, until = (_moment(request, name) for name in ("updated_since", "updated_until"))
        return snapshot(day).rows(collection, since, until)

    async def by_offset(self, request: Request) -> Response:
        faults = self._faults.next(request.url.path)
        if request.query_params.get("api_key") != self._key:
            return _unauthorized()
        rows = self._rows(request, request.url.path.rsplit("/", 1)[-1])
        offset = _whole_number(request, "offset", 0)
        limit = min(_whole_number(request, "limit", _DEFAULT_LIMIT), PAGE_CAP)
        rows = rows[sum(fault.shift for fault in faults) :]
        page = rows[offset : offset + limit]
        for fault in faults:
            page = fault.applied_to(page)
        return await _answer(request, {"data": page, "total": len(rows)}, faults)

    async def by_cursor(self, request: Request) -> Response:
        faults = self._faults.next(request.url.path)
        if request.headers.get("X-Api-Key") != self._key:
            return _unauthorized()
        rows = self._rows(request, "transactions")
        start = _whole_number(request, "cursor", 0)
        stop = start + PAGE_CAP
        page = [
            {
                "orderId": row["id"],
                "amount": row["transaction_amount"],
                "changedAt": row["updated_at"],
                "buyer": {"customerId": row["customer_id"]},
            }
            for row in rows[start:stop]
        ]
        for fault in faults:
            page = fault.applied_to(page)
        body = {"items": page, "next": str(stop) if stop < len(rows) else None}
        return await _answer(request, body, faults)

    async def set_faults(self, request: Request) -> Response:
        try:
            faults = TypeAdapter(list[Fault]).validate_json(await request.body())
        except ValidationError as error:
            raise _BadRequestError(str(error)) from error
        self._faults.set(faults)
        return Response(status_code=204)

    async def requests(self, _: Request) -> Response:
        return JSONResponse(self._faults.counts())


def _unauthorized() -> Response:
    return JSONResponse({"error": "missing or unknown API key"}, status_code=401)


def _whole_number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal():
        raise _BadRequestError(f"{name} must be a whole number")
    return int(text)


def _moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _BadRequestError(f"{name} must be an ISO 8601 timestamp") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _answer(request: Request, content: Any, faults: list[Fault]) -> Response:
    body = json.dumps(content, ensure_ascii=False).encode()
    status, headers = 200, {"Content-Type": "application/json"}
    for fault in faults:
        await asyncio.sleep(fault.delay)
        if fault.reset:
            return _Reset(request)
        if fault.status is not None:
            status, body = fault.status, json.dumps({"error": f"injected {fault.status}"}).encode()
            if fault.retry_after is not None:
                headers["Retry-After"] = fault.retry_after
        if fault.body is not None:
            body = fault.body.encode()
        if fault.truncate:
            return _Truncated(body, headers=headers)
    return Response(body, status, headers)


class _Truncated(Response):
    """Announces the length of the whole body, sends half of the body, and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        body = bytes(self.body)
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        scope["app"].state.connections[tuple(scope["client"])].close()


class _Reset(Response):
    """Resets the connection (RST) without a response."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self._transport = request.app.state.connections[tuple(request.scope["client"])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI's signature
        linger_none = struct.pack("ii", 1, 0)
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_none)
        self._transport.abort()


def _protocol(app: Starlette) -> type[H11Protocol]:
    """Returns a uvicorn protocol that stores each transport in the app, because ASGI cannot break a connection."""
    connections: dict[tuple[str, int], asyncio.Transport] = app.state.connections

    class _Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connections[transport.get_extra_info("peername")] = transport
            self._peer = transport.get_extra_info("peername")

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self._peer, None)
            super().connection_lost(exc)

    return _Protocol


def listen(port: int) -> socket.socket:
    """Opens a socket on 127.0.0.1. Port 0 selects a free port.

    Raises:
        OSError: another process already uses the port.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener


def make_server(app: Starlette) -> uvicorn.Server:
    """Returns a uvicorn server for `app`, which runs on a socket from `listen`."""
    return uvicorn.Server(uvicorn.Config(app, http=_protocol(app), lifespan="off", log_level="warning"))


@contextmanager
def serve(*, api_key: str = DEFAULT_KEY, today: date | None = None, patience: float = 10) -> Iterator[str]:
    """Runs the demo API in a thread on a free port, within a `with` block. Yields the base URL.

    Args:
        api_key: the key that the API requires.
        today: the day whose data the API serves; None for the current UTC day.
        patience: the seconds to wait for the API to start, and later to stop.

    Raises:
        RuntimeError: the API did not start in time.
    """
    listener = listen(0)
    server = make_server(create_app(api_key=api_key, today=today))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    give_up = time.monotonic() + patience
    while not server.started:
        if not thread.is_alive() or time.monotonic() > give_up:
            raise RuntimeError("the demo API did not start")
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(patience)
        listener.close()
