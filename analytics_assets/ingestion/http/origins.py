"""Decides which servers may get a request, and which of them get the secrets.

A link or a redirect comes from a response, so it may lead anywhere. An origin is scheme, host and port (RFC 6454).
Secrets go only to origins that the `defs.yaml` names. So they never go from https to http.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}

_PLAIN_HEADERS = frozenset({"accept", "accept-encoding", "accept-language", "range", "user-agent"})
"""The headers of a request without secrets, in lower case. Any other header may be one of a user's own auth."""


class Origins:
    """The origins that the `defs.yaml` of one API names.

    Args:
        base_url: the base URL of the API.
        trusted: further origins that get the secrets.
        downloads: origins that get requests without secrets.
    """

    def __init__(self, base_url: str, trusted: Iterable[str] = (), downloads: Iterable[str] = ()) -> None:
        named = [origin_of(url) for url in (base_url, *trusted)]
        # A server that redirects http to https on its usual ports is the same server.
        safer = [
            f"https{one.removeprefix('http')}"
            for one in named
            if one.startswith("http:") and not urlsplit(one).port
        ]
        self._trusted = frozenset([*named, *safer]) - {""}
        self._downloads = frozenset(map(origin_of, downloads))

    def trusts(self, url: str) -> bool:
        """Whether the server of `url` may get the secrets."""
        return origin_of(url) in self._trusted

    def trusted_in(self, domain: str) -> list[tuple[str, str]]:
        """The trusted servers within a domain such as `.example.com`: host and port, which is empty if it is usual."""
        parts = [urlsplit(one) for one in sorted(self._trusted)]
        hosts = [(str(one.hostname), str(one.port or "")) for one in parts]
        return [one for one in hosts if f".{one[0]}".endswith(domain)]

    def may_download(self, url: str) -> bool:
        """Whether the server of `url` may get a request without secrets."""
        return origin_of(url) in self._downloads


def origin_of(url: str) -> str:
    """Returns the origin of a URL, such as `https://api.example.com`; empty if the URL has none.

    The origin has the port only if it is not the usual one.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if not host or parts.scheme not in _DEFAULT_PORTS:
        return ""
    host = f"[{host}]" if ":" in host else host
    usual = port in (None, _DEFAULT_PORTS[parts.scheme])
    return f"{parts.scheme}://{host}" if usual else f"{parts.scheme}://{host}:{port}"


def plain_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers that cannot carry a secret."""
    return {name: value for name, value in headers.items() if name.lower() in _PLAIN_HEADERS}
