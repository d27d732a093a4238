"""Ends an exchange that takes too long in all, or whose response nobody needs any more.

A timeout of a socket limits only the wait for the next bytes. So a server that sends a byte now and then, or
`100 Continue` again and again, would never end an exchange. The connections of this module read from a socket that also
has a deadline, and that another thread can end. Another thread can also end a connection that is only being opened.
"""

from __future__ import annotations

import io
import math
import socket
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import ExitStack, suppress
from threading import Lock, Thread
from typing import Any
from weakref import WeakSet

from urllib3.connection import HTTPConnection

from analytics_assets.ingestion.http.header_block import WholeHeaders


class DeadlineError(TimeoutError):
    """An exchange has taken longer than its deadline allows.

    Attributes:
        seconds: the seconds that the exchange may take.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"no whole response within {seconds:g} s")
        self.seconds = seconds


class _Deadline:
    """The deadline of the exchange that a connection has under way.

    Args:
        seconds: the seconds that an exchange may take.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = math.inf

    def begin(self) -> None:
        self._at = time.monotonic() + self.seconds

    def lift(self) -> None:
        self._at = math.inf

    def left(self) -> float:
        """The seconds until the deadline.

        Raises:
            DeadlineError: the deadline has passed.
        """
        left = self._at - time.monotonic()
        if left <= 0:
            raise DeadlineError(self.seconds)
        return left


class _Socket:
    """A socket whose reads also end at a deadline. Everything else is as in the socket itself."""

    def __init__(self, sock: Any, deadline: _Deadline) -> None:
        self._sock = sock
        self._deadline = deadline
        self._timeout: float | None = sock.gettimeout()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def settimeout(self, seconds: float | None) -> None:
        self._timeout = seconds
        self._sock.settimeout(seconds)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """Returns the file that `http.client` reads a response from."""
        return io.BufferedReader(_Reader(self, self._sock.makefile("rb", buffering=0)))

    def read_from(self, raw: Any, buffer: Any) -> int | None:
        left = self._deadline.left()
        within = left if self._timeout is None else min(self._timeout, left)
        self._sock.settimeout(None if within == math.inf else within)
        try:
            count: int | None = raw.readinto(buffer)
        except TimeoutError:
            self._deadline.left()  # raises if the deadline was the shorter limit
            raise
        return count


class _Reader(io.RawIOBase):
    def __init__(self, sock: _Socket, raw: Any) -> None:
        self._sock = sock
        self._raw = raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        return self._sock.read_from(self._raw, buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class Sockets:
    """The open sockets of a session, and those that are being opened."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._opening: WeakSet[Future[socket.socket]] = WeakSet()
        self._open: WeakSet[socket.socket] = WeakSet()
        self._aborted = False

    def open(self, connect: Callable[[], socket.socket]) -> socket.socket:
        """Opens a socket in a thread of its own, because nothing can end the wait for a name server.

        After `abort`, nobody waits for that thread.

        Args:
            connect: a function that finds the address of a server, and connects to it.

        Raises:
            ConnectionAbortedError: `abort` was called before the socket was open.
            HTTPError, OSError: the error of `connect`.
        """
        opening: Future[socket.socket] = Future()
        with self._lock:
            if self._aborted:
                raise ConnectionAbortedError("the session has ended")
            self._opening.add(opening)
        Thread(target=_run, args=(opening, connect), daemon=True).start()
        try:
            return opening.result()
        except CancelledError:
            raise ConnectionAbortedError("the session has ended") from None
        finally:
            opening.cancel()  # an interrupt of the main thread may come first

    def add(self, sock: socket.socket) -> None:
        """Adds a socket. After `abort`, the socket is ended at once."""
        with self._lock:
            self._open.add(sock)
            aborted = self._aborted
        if aborted:
            _end(sock)

    def abort(self) -> None:
        """Ends all exchanges in flight. Each waiting read or connect gets an error of the network."""
        with self._lock:
            self._aborted = True
            sockets, opening = list(self._open), list(self._opening)
        for one in opening:
            one.cancel()
        for sock in sockets:
            _end(sock)


def _run(opening: Future[socket.socket], connect: Callable[[], socket.socket]) -> None:
    try:
        sock = connect()
    except BaseException as error:  # noqa: BLE001  raised again in the thread that waits
        if opening.set_running_or_notify_cancel():
            opening.set_exception(error)
    else:
        if opening.set_running_or_notify_cancel():
            opening.set_result(sock)
        else:
            sock.close()


def _end(sock: socket.socket) -> None:
    with suppress(OSError):  # the socket is closed already
        # A TLS socket's own `shutdown` is for the thread that reads it.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def connection_class(base: Any, seconds: float, sockets: Sockets) -> type[HTTPConnection]:
    """Returns a class of connections whose exchanges end after some seconds.

    Args:
        base: the class of connections of a pool, which knows how to connect: directly, or through a SOCKS proxy.
        seconds: the seconds from sending a request until its response is complete.
        sockets: the open sockets, to which each connection adds its own.
    """

    class Connection(base):  # type: ignore[misc]  # the class of the pool
        response_class = WholeHeaders

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.deadline = _Deadline(seconds)

        def connect(self) -> None:
            with ExitStack() as self._until_connected:
                super().connect()
            # TLS through a proxy with TLS has the socket inside.
            sockets.add(getattr(self.sock, "socket", self.sock))
            self.sock: Any = _Socket(self.sock, self.deadline)

        def _new_conn(self) -> socket.socket:
            sock = sockets.open(super()._new_conn)
            # A handshake takes the socket over, and returns only at its end. So a second handle can end it.
            sockets.add(self._until_connected.enter_context(sock.dup()))
            return sock

        def request(self, *args: Any, **kwargs: Any) -> None:
            self.deadline.begin()
            super().request(*args, **kwargs)

    return Connection


def lift_deadline(connection: Any) -> None:
    """Removes the deadline of the exchange that a connection has under way."""
    connection.deadline.lift()
