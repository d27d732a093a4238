"""The HTTP session of a sync: dlt's client sends each of its requests through this session.

dlt's own `rest_api_source` gets the session as `client.session` in its config. Usually the session sends dlt's request
through the adapter in `transport.py`. The adapter retries the request. For a request with a page reader, the session
returns the rows of many pages. Usually `page_group.py` fetches these pages directly through the adapter.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from typing import Any, Self
from urllib.parse import urlsplit

from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
from requests import PreparedRequest, Request, Response, Session
from requests.exceptions import HTTPError, InvalidURL, RequestException

from analytics_assets.ingestion.errors import Fault, SyncHalted
from analytics_assets.ingestion.http.api_response import ApiResponse, ParsedResponse
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.cookies import SessionCookies, put_cookies
from analytics_assets.ingestion.http.exchange import Exchange
from analytics_assets.ingestion.http.oauth2 import Tokens
from analytics_assets.ingestion.http.origins import Origins
from analytics_assets.ingestion.http.page_group import PageGroups, SendOptions
from analytics_assets.ingestion.http.page_limit import PageLimit
from analytics_assets.ingestion.http.page_reader import Numbers, Page, PageReader
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.read_bounds import refused_page
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.request_tag import RequestTag, caller_of, take_tag
from analytics_assets.ingestion.http.response import Content
from analytics_assets.ingestion.http.retry_policy import NO_DATA, Caller, Judge, Tries, endpoint_of, no_data
from analytics_assets.ingestion.http.side_by_side import SideBySide
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.ingestion.http.transport import Transport
from analytics_assets.ingestion.http.wire import WireResponse


class ApiSession(Session):
    """A `requests` session with rate limit, retries, circuit breaker and checked responses.

    The session is a context manager. At the end of the `with` block, the session stops its threads, and no longer
    redacts secrets in log records.

    Args:
        resource: the dlt resource of the sync.
        origins: the servers that may get requests.
        rate_limiter: the rate limiter, which all syncs of the source in this process share.
        breaker: the circuit breaker of this sync.
        secrets: the secrets of the source.
        telemetry: the counts of the sync.
        page_limit: the limit on the number of pages; None for no limit.
        sleep: a function that waits the given number of seconds; by default, `close` ends the wait early.
        jitter: a function that returns a random number from 0 to 1, for the jitter of waits.
        clock: a function that returns seconds of a monotonic clock, for the end of access tokens.

    Attributes:
        side_by_side: runs reads that send their requests through this session.

    Raises:
        SyncHalted: a request failed for good in this or an earlier call of `send`, or paging repeats a page.
        CircuitOpenError: the circuit is open when `send` is called.
        RowsMovedError: rows moved between the requests of `send`.
        UnreadableResponseError: a response does not match the config.
        ForeignOriginError: a link or a redirect leads to a server that the `defs.yaml` does not name.
        TooManyPagesError: the API has more pages than `page_limit` allows.
    """

    def __init__(  # noqa: PLR0913  each parameter is a part of the sync
        self,
        resource: str,
        origins: Origins,
        rate_limiter: RateLimiter,
        breaker: Breaker,
        secrets: Secrets,
        telemetry: Telemetry,
        *,
        page_limit: PageLimit | None = None,
        tries: Tries | None = None,
        sleep: Callable[[float], object] | None = None,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.cookies = self._own_cookies = SessionCookies(origins)
        self._resource = resource
        self._secrets = secrets
        self._telemetry = telemetry
        self._page_limit = page_limit or PageLimit()
        self._block = ExitStack()
        self._block.enter_context(secrets.out_of_logs())
        self._tokens = Tokens(resource, self, secrets, rate_limiter.single_flight, rate_limiter.config, clock)
        self._origins = origins
        self._transport = Transport(
            resource,
            origins,
            rate_limiter,
            breaker,
            secrets,
            telemetry,
            tries=tries,
            sleep=sleep,
            jitter=jitter,
            token_of=self._tokens.of_request,
        )
        self._page_groups = PageGroups(
            resource,
            rate_limiter.config.max_in_flight,
            self._transport,
            self._fetch_sequentially,
            self._page_limit,
            telemetry,
        )
        self.side_by_side = SideBySide(resource, rate_limiter.config.max_in_flight)
        self.mount("http://", self._transport)
        self.mount("https://", self._transport)

    def __enter__(self) -> Self:
        return self

    def __deepcopy__(self, _: Any) -> Self:
        """Returns the session itself, because a copy of the config in dlt must share the session's limits."""
        return self

    def close(self) -> None:
        """Ends the threads. Requests in flight, and those that are not yet sent, are cancelled."""
        self._transport.stop()
        self.side_by_side.close()
        self._page_groups.close()
        self._block.close()  # redact secrets until the end, because a request in flight still logs
        super().close()

    def prepare_request(self, request: Request) -> PreparedRequest:
        """Prepares a request of dlt. An OAuth2 auth writes the reference of its token, which this session renews."""
        prepared = copy(request)
        prepared.auth = self._tokens.renewing(request.auth)
        ready = super().prepare_request(prepared)
        put_cookies(ready, self._own_cookies)
        ready.url = self._secrets.hide_in(ready.url or "")
        return ready

    def send(self, request: PreparedRequest, *, caller: Caller | None = None, **kwargs: Any) -> Response:
        """Sends one request of dlt's client. When `requests` follows a redirect, it passes `caller` again."""
        tag = take_tag(request)
        # The target of a redirect is not prepared here.
        request.url = self._secrets.hide_in(request.url or "")
        try:
            if isinstance(tag, PageReader):
                return self._page_groups.next_group(request, tag, kwargs)
            if tag is not None:
                if tag.progress:
                    tag.progress.judge_request(request)
                self._page_limit.take(tag.reader.resource, endpoint_of(request))
            caller = caller or caller_of(request)
            if caller.judge is Judge.TOKEN_REQUEST:
                kwargs["allow_redirects"] = False  # a redirect would repost the client_secret elsewhere
            response = super().send(request, caller=caller, **kwargs)
        except SyncHalted as halted:
            progress = tag.progress if tag else None
            if progress is None:
                raise
            raise refused_page(halted, progress.read.rows, f"page {progress.read.pages + 1:,}") from None
        except RequestException as error:
            raise self._failure(request, error) from None
        return response if tag is None else self._checked(request, response, tag)

    def get_redirect_target(self, resp: Response) -> str | None:
        """Returns the link of a redirect; None if the response is none.

        Raises:
            InvalidURL: the link is malformed.
        """
        try:
            target = super().get_redirect_target(resp)
            urlsplit(target or "")
        except ValueError:
            raise InvalidURL("a malformed redirect", response=resp) from None
        return target

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Whether `requests` removes the header `Authorization` when it follows a redirect."""
        del old_url
        return not self._origins.trusts(new_url)

    def _failure(self, request: PreparedRequest, error: RequestException) -> SyncHalted:
        endpoint, response = endpoint_of(request), error.response
        if not isinstance(error, HTTPError) or response is None:
            return self._transport.unsendable(endpoint, error)
        # An error with a response comes from a response hook of dlt or of the user.
        if isinstance(response, ApiResponse):
            exchange = Exchange(response.status_code, response.headers, response.content)
            return self._transport.refused(endpoint, exchange, response.attempts)
        return self._transport.refused(endpoint, Exchange(response.status_code, response.headers), 1)

    def _checked(self, request: PreparedRequest, response: Response, tag: RequestTag) -> Response:
        """Checks the content of a page of dlt's own paginator, and returns the parsed response."""
        endpoint, status = endpoint_of(request), response.status_code
        self._refuse_no_data(endpoint, status)
        parsed = tag.reader.parse(response.content, endpoint, lambda: response.encoding, status=status)
        content = tag.reader.read(parsed, endpoint)
        read = tag.progress.read.rows if tag.progress else 0
        if content.rows is None and not tag.reader.says_end(parsed, read):
            raise tag.reader.no_rows(parsed, endpoint)
        self._telemetry.page(len(content.rows or ()))
        keeps_body = tag.reader.is_read_by_user or not tag.reader.has_rows_as_text
        return ParsedResponse(response, parsed, keeps_body=keeps_body)

    def _refuse_no_data(self, endpoint: str, status: int) -> None:
        """Fails for a status without data. `classify` has judged it already, unless the user has response hooks."""
        if status in NO_DATA:
            raise SyncHalted(self._resource, endpoint, status, 1, no_data(status), fault=Fault.SYSTEM)

    def _fetch_sequentially(
        self, reader: PageReader, numbers: Numbers, options: SendOptions, redirect: WireResponse | None
    ) -> Page:
        """Fetches one page through the `requests` session, with the user's auth and hooks.

        With `redirect`, the page's request has already been sent, so only the target of the redirect gets a request.
        """
        request = self.prepare_request(reader.request_of(numbers))
        take_tag(request)
        endpoint, caller = endpoint_of(request), caller_of(request)
        sent = time.monotonic()
        try:
            if redirect is None:
                response = super().send(request, caller=caller, **options)
            else:
                response = self._followed(self._transport.as_response(request, redirect), caller, options)
        except HTTPError as error:
            raise self._failure(request, error) from None
        except IgnoreResponseException:
            return Page(Content([]), None, 0, {}, sent, time.monotonic())
        self._refuse_no_data(endpoint, response.status_code)
        parsed = reader.reader.parse(
            response.content, endpoint, lambda: response.encoding, status=response.status_code
        )
        content = reader.reader.read(parsed, endpoint)
        return Page(content, parsed, len(response.content), response.headers, sent, time.monotonic())

    def _followed(self, response: Response, caller: Caller, options: SendOptions) -> Response:
        """Follows the redirects of a response, as `requests` does. Returns the response at their end."""
        options = dict(options)
        if not options.pop("allow_redirects", True):
            return response
        for hop in self.resolve_redirects(response, response.request, caller=caller, **options):
            response = hop
        return response
