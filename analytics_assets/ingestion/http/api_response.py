"""The responses that dlt's client gets from `ApiSession`."""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest, Response
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from analytics_assets.ingestion.http.link_header import link_header, links_by_relation
from analytics_assets.ingestion.http.wire import WireResponse

Row = Any
"""A row as the API sent it: a parsed JSON value, or JSON text as `msgspec.Raw`."""


class _Response(Response):
    """A `requests` response that understands every valid `Link` header, in which dlt looks for the next page."""

    @property
    def links(self) -> Any:
        """The links of the `Link` header by relation type, in any case."""
        return links_by_relation(self.headers.get("link") or "")


class ApiResponse(_Response):
    """A `requests` response with the whole body.

    Args:
        request: the request of the response, with references in place of secrets.
        response: the response from the network.
        connection: the HTTP adapter, through which an auth such as digest sends the request again.

    Attributes:
        attempts: the number of requests sent until this response, the first included.
    """

    def __init__(self, request: PreparedRequest, response: WireResponse, connection: Any) -> None:
        super().__init__()
        raw = response.raw
        self.attempts = response.attempts
        self.status_code = response.status
        self.headers = CaseInsensitiveDict(raw.headers.items())
        if "link" in self.headers:
            self.headers["Link"] = link_header(raw.headers)
        self.encoding = get_encoding_from_headers(self.headers)
        self.raw = raw
        self.reason = str(raw.reason)
        self.url = str(request.url)
        self.request = request
        self.connection = connection
        extract_cookies_to_jar(self.cookies, request, raw)  # type: ignore[no-untyped-call]
        self._content = response.body
        self._content_consumed = True


class ParsedResponse(_Response):
    """A response that keeps its parsed JSON, so that dlt does not parse the body again.

    Args:
        response: the response to copy.
        parsed: the parsed JSON of the response.
        keeps_body: whether code of the user or of dlt may read the body. Rows that are views of another text would be
            in memory twice.

    Attributes:
        size: the bytes of the body.
    """

    def __init__(self, response: Response, parsed: Any, *, keeps_body: bool = True) -> None:
        super().__init__()
        self.__dict__.update(vars(response))
        self.size = len(response.content)
        if not keeps_body:
            self._content = b""
        self._parsed = parsed

    def json(self, **_: Any) -> Any:
        """The parsed JSON."""
        return self._parsed


class PageGroup(Response):
    """One response with the rows of many pages of the API, for dlt's client.

    Args:
        request: dlt's request.
        rows: the rows of all pages, in order.
        size: the bytes of the bodies of all pages.
        has_more: whether the API has more pages.

    Attributes:
        size: the bytes of the bodies of all pages.
        has_more: whether the API has more pages.
    """

    def __init__(self, request: PreparedRequest, rows: list[Row], *, size: int, has_more: bool) -> None:
        super().__init__()
        self.status_code = 200
        self.request = request
        self.url = str(request.url)
        self.size = size
        self.has_more = has_more
        self._rows = rows

    def json(self, **_: Any) -> list[Row]:
        """The rows of all pages."""
        return self._rows
