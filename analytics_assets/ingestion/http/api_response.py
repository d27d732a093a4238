"""The responses that dlt's client gets from our session."""

from __future__ import annotations

from typing import Any

from requests import PreparedRequest, Response
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import BaseHTTPResponse

from analytics_assets.ingestion.http.redaction import Secrets

Row = Any
"""A row as the API sent it: parsed, or still JSON as `msgspec.Raw`."""


class ApiResponse(Response):
    """A response of the API as requests has it: whole, and redacted.

    Args:
        request: what it responds to, without secrets.
        raw: the response of urllib3.
        body: its body, redacted.
        attempts: requests sent until it came, the first included.
        secrets: redact its headers.
        connection: the adapter, for an auth that sends the request again, such as digest.

    Attributes:
        attempts: as above.
    """

    def __init__(
        self,
        request: PreparedRequest,
        raw: BaseHTTPResponse,
        body: bytes,
        attempts: int,
        secrets: Secrets,
        connection: Any,
    ) -> None:
        super().__init__()
        self.attempts = attempts
        self.status_code = raw.status
        self.headers = CaseInsensitiveDict(
            {name: secrets.redact(value) for name, value in raw.headers.items()}
        )
        self.encoding = get_encoding_from_headers(self.headers)
        self.raw = raw
        self.reason = str(raw.reason)
        self.url = str(request.url)
        self.request = request
        self.connection = connection
        extract_cookies_to_jar(self.cookies, request, raw)  # type: ignore[no-untyped-call]
        self._content = body
        self._content_consumed = True


class ParsedResponse(Response):
    """A response whose JSON has been parsed, so that dlt does not parse it again.

    Args:
        response: the response.
        parsed: its JSON.
    """

    def __init__(self, response: Response, parsed: Any) -> None:
        super().__init__()
        self.__dict__.update(vars(response))
        self._parsed = parsed

    def json(self, **_: Any) -> Any:
        """The parsed JSON."""
        return self._parsed


class PageGroup(Response):
    """Many pages of the API as the one page that dlt asked for. Its JSON is the list of their rows.

    Args:
        request: dlt's request, which stands for all of the pages.
        rows: of the pages, in order.
        has_more: whether there are more rows.

    Attributes:
        has_more: as above.
    """

    def __init__(self, request: PreparedRequest, rows: list[Row], *, has_more: bool) -> None:
        super().__init__()
        self.status_code = 200
        self.request = request
        self.url = str(request.url)
        self.has_more = has_more
        self._rows = rows

    def json(self, **_: Any) -> list[Row]:
        """The rows."""
        return self._rows
