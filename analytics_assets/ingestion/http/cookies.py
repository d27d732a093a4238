"""The cookies of a session: few, small, and only for the servers that the `defs.yaml` names.

A cookie belongs to the server that set it. If it names a domain, it also belongs to the trusted servers in the domain.
An API may set a new cookie with each page, until its own server refuses the request as too large (431).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from http.cookiejar import Cookie, DefaultCookiePolicy, eff_request_host, request_port  # type: ignore[attr-defined]
from typing import Any

from requests.cookies import RequestsCookieJar, get_cookie_header

from analytics_assets.ingestion.http.origins import Origins

MOST_BYTES = 4096
"""The most bytes of the names and values of all cookies of a server. Servers accept 8,192 for all headers and more."""


_DOMAIN = "_domain"
"""The attribute of a cookie with the domain that its server named, until the jar has seen it."""


_USUAL_PORT = "80"
"""What `http.cookiejar` takes for the port of a URL without a port, also with https."""


class _OwnServer(DefaultCookiePolicy):
    """Accepts a cookie only for the host and port that set it, whatever domain it names."""

    def set_ok(self, cookie: Cookie, request: Any) -> bool:
        """Whether a cookie may be kept. It then belongs to the server of the request."""
        if not super().set_ok(cookie, request) or _size(cookie) > MOST_BYTES:
            return False
        if cookie.domain_specified:
            cookie.set_nonstandard_attr(_DOMAIN, f".{cookie.domain.lstrip('.')}")
        cookie.domain, cookie.domain_specified, cookie.domain_initial_dot = (
            eff_request_host(request)[1],
            False,
            False,
        )
        cookie.port, cookie.port_specified = str(request_port(request) or _USUAL_PORT), True
        cookie.secure = cookie.secure or request.type == "https"
        return True


class SessionCookies(RequestsCookieJar):
    """A cookie jar with a largest size for each server.

    Args:
        origins: the servers that share the cookies of a domain.
    """

    def __init__(self, origins: Origins) -> None:
        super().__init__(policy=_OwnServer(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain))
        self._origins = origins

    def __iter__(self) -> Iterator[Any]:
        """Yields the cookies of this moment, because another thread may add one."""
        with self._cookies_lock:  # type: ignore[attr-defined]
            return iter([*super().__iter__()])

    def copy(self) -> SessionCookies:
        """Returns a jar with the same cookies and the same limits, for one request and its redirects."""
        copied = SessionCookies(self._origins)
        copied.update(self)
        return copied

    def set_cookie(self, cookie: Cookie, *args: Any, **kwargs: Any) -> Any:
        """Adds a cookie, or replaces the value of the cookie with its name. Removes others if there are too many.

        The first cookies stay up to half of the size, because a server sets the cookie of a session first. Of the
        others, the newest stay.
        """
        domain = str(cookie._rest.pop(_DOMAIN, ""))  # type: ignore[attr-defined]
        siblings = self._origins.trusted_in(domain) if domain else []
        for host, port in siblings if (cookie.domain, cookie.port) in _keys(siblings) else ():
            shared = copy(cookie)
            shared.domain, shared.port = host, port or _USUAL_PORT
            self.set_cookie(shared)
        result = super().set_cookie(cookie, *args, **kwargs)
        own = [one for one in self if (one.domain, one.port) == (cookie.domain, cookie.port)]
        size, first = sum(map(_size, own)), 0
        for one in own:
            first += _size(one)
            if size > MOST_BYTES and first > MOST_BYTES // 2:
                self.clear(one.domain, one.path, one.name)
                size -= _size(one)
        return result

    def clear(self, domain: str | None = None, path: str | None = None, name: str | None = None) -> None:
        """Removes cookies. A server may remove a cookie by the domain that it named for it."""
        named = domain if domain and domain.startswith(".") and name else None
        for host in [one.domain for one in self if named and f".{one.domain}".endswith(named)]:
            with suppress(KeyError):
                super().clear(host, path, name)
        if named is None:
            super().clear(domain, path, name)


def put_cookies(request: Any, jar: SessionCookies) -> None:
    """Replaces the cookies that `requests` has put into a request, by its own rules, with those of a jar.

    Args:
        request: a `PreparedRequest`, whose cookie jar is private in `requests`.
        jar: the cookies of the session.
    """
    bare = request.copy()
    bare.headers.pop("Cookie", None)
    # The user's headers and auth may have put a cookie, too.
    if request.headers.get("Cookie") == get_cookie_header(bare._cookies, bare):  # type: ignore[no-untyped-call]
        request.headers.pop("Cookie", None)
        request.prepare_cookies(jar)
    request._cookies = jar.copy()


def _keys(servers: list[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(host, port or _USUAL_PORT) for host, port in servers}


def _size(cookie: Cookie) -> int:
    return len(cookie.name) + len(cookie.value or "") + len("=; ")
