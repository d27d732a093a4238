"""Obtains the access tokens of OAuth2 auths, and signs requests with a reference to the current token.

`access_token.py` decides when a token is renewed. An auth that cannot renew a token is used unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from threading import RLock
from typing import Any
from urllib.parse import quote, urlsplit

from dlt.common import pendulum
from dlt.sources.helpers.requests import Session as DltSession
from dlt.sources.helpers.rest_client.auth import OAuth2AuthBase, OAuth2ClientCredentials, OAuthJWTAuth
from requests import PreparedRequest, Session
from requests.auth import AuthBase
from requests.exceptions import HTTPError, RequestException

from analytics_assets.config.models import RequestsConfig
from analytics_assets.ingestion.errors import NoTokenError, SyncError, SyncHalted
from analytics_assets.ingestion.http.access_token import AccessToken, Grant, TokenSource
from analytics_assets.ingestion.http.api_words import words_of
from analytics_assets.ingestion.http.exchange import Exchange
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.retry_policy import Caller, Judge, classify, endpoint_of
from analytics_assets.ingestion.http.row_selection import keys_of
from analytics_assets.ingestion.json_kind import kind_of
from analytics_assets.ingestion.raw_json import read_body

_LONGEST_LIFETIME = 10 * 366 * 86_400.0
"""Seconds. A longer lifetime is no lifetime, but a mistake or a way to say `never`."""

_BEARER = tuple(auth.__call__ for auth in (OAuth2AuthBase, OAuth2ClientCredentials, OAuthJWTAuth))
"""dlt's own methods that sign a request. Each only writes the token into the header `Authorization`."""


class Tokens:
    """The access tokens of one session.

    Args:
        resource: the dlt resource of the sync.
        session: the session that sends the token requests of dlt's own renewal.
        secrets: learn each token.
        lock: the lock of a renewal.
        config: the request settings, which list the statuses to retry.
        clock: a function that returns seconds of a monotonic clock.
    """

    def __init__(
        self,
        resource: str,
        session: Session,
        secrets: Secrets,
        lock: RLock,
        config: RequestsConfig,
        clock: Callable[[], float],
    ) -> None:
        self._resource = resource
        self._session = session
        self._secrets = secrets
        self._lock = lock
        self._config = config
        self._clock = clock
        self._auths: dict[Any, tuple[Any, RenewingAuth]] = {}  # the auth, too, so that its id stays its own
        self._tokens: list[AccessToken] = []

    def renewing(self, auth: Any) -> Any:
        """Returns an auth whose token this session renews, in place of `auth`; `auth` itself if it renews no token."""
        if not isinstance(auth, (OAuth2AuthBase, OAuthJWTAuth)) or not hasattr(auth, "obtain_token"):
            return auth
        with self._lock:
            key = _key(auth)
            if key not in self._auths:
                self._auths[key] = (auth, self._new(auth))
            return self._auths[key][1]

    def of_request(self, request: PreparedRequest) -> AccessToken | None:
        """Returns the token whose reference is in the URL or a header of a request; None if there is none."""
        if not self._tokens:
            return None
        texts = (str(request.url), *map(str, request.headers.values()))
        return next((one for one in self._tokens if any(one.reference in text for text in texts)), None)

    def _new(self, auth: Any) -> RenewingAuth:
        is_managed = _renews_as_dlt(auth)
        if is_managed:
            auth = copy(auth)  # another sync may use the same object with a token of its own
            auth.access_token = None
            if auth.session is None or isinstance(auth.session, DltSession):
                auth.session = self._session
        kind = _ClientCredentials if is_managed else _OwnRenewal
        source: TokenSource = kind(self._resource, auth, self._secrets, self._config)
        token = AccessToken(source, self._secrets, self._lock, self._clock)
        self._tokens = [*self._tokens, token]
        return RenewingAuth(auth, token, self._lock, is_managed=is_managed)


class RenewingAuth(AuthBase):
    """Signs requests in place of an auth, with the reference of the token that the sync renews.

    Args:
        auth: the auth.
        token: the token of the auth.
        lock: the lock of a renewal.
        is_managed: whether only this project renews the token.
    """

    def __init__(self, auth: Any, token: AccessToken, lock: RLock, *, is_managed: bool) -> None:
        self._auth = auth
        self._token = token
        self._lock = lock
        self._is_managed = is_managed
        self._is_bearer = type(auth).__call__ in _BEARER

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Signs a request. If the auth has a method of its own, the reference replaces the token in its result."""
        reference = self._token.reference
        if self._is_bearer:
            request.headers["Authorization"] = f"Bearer {reference}"
            return request
        with self._lock:  # the method may renew the token itself
            if self._is_managed:
                self._token.current()
            signed: PreparedRequest = self._auth(request)
            token = self._token.adopt()
        if token:
            for name, value in signed.headers.items():
                if isinstance(value, str):
                    signed.headers[name] = value.replace(token, reference)
            signed.url = (
                (signed.url or "").replace(quote(token, safe=""), reference).replace(token, reference)
            )
        return signed


class _Source:
    """What both sources of tokens have."""

    def __init__(self, resource: str, auth: Any, secrets: Secrets, config: RequestsConfig) -> None:
        self._resource = resource
        self._auth = auth
        self._secrets = secrets
        self._config = config


class _ClientCredentials(_Source):
    """Obtains tokens as dlt's `OAuth2ClientCredentials` does, and checks the response."""

    @property
    def name(self) -> str:
        return f"POST {urlsplit(str(self._auth.access_token_url)).path}"

    def held(self) -> Grant | None:
        token = self._auth.access_token
        return Grant(token) if token else None

    def is_expired(self) -> bool:
        return False

    def obtain(self) -> Grant:
        auth = self._auth
        try:
            response = auth.session.post(auth.access_token_url, **auth.build_access_token_request())
            response.raise_for_status()
        except RequestException as error:
            raise _failed(error, self._resource, self.name, self._config) from None
        if response.is_redirect:
            raise self._no_token("it redirects to another address, which gets no client_secret")
        try:
            content = read_body(response.content, response.encoding)
        except ValueError:
            raise self._no_token("its response is not JSON") from None
        if not isinstance(content, dict):
            raise self._no_token("its response is not a JSON object")
        token = self._token_in(content)
        # An auth with a method of its own to sign requests reads the token, and calls dlt's if it has expired.
        auth.access_token = token
        auth.token_expiry = pendulum.now().add(years=100)
        return Grant(token, self._lifetime(content))

    def _token_in(self, content: dict[str, Any]) -> str:
        is_dlts = type(self._auth).parse_access_token is OAuth2ClientCredentials.parse_access_token
        try:
            found = content.get("access_token") if is_dlts else self._auth.parse_access_token(content)
        except (AttributeError, LookupError, TypeError, ValueError):
            found = None
        if not isinstance(found, str) or not found.strip():
            words = words_of(content, self._secrets.redact)
            said = f". The API says: {words}" if words else ""
            is_there = found is not None or (is_dlts and "access_token" in content)
            wrong = "an empty text" if isinstance(found, str) else kind_of(found)
            problem = (
                f"the access_token of its response is {wrong}"
                if is_there
                else "its response has no access_token"
            )
            raise self._no_token(f"{problem}{keys_of(content)}{said}")
        token = found.strip()
        if not (token.isascii() and token.isprintable()):
            raise self._no_token("its token has characters that no HTTP header can carry")
        return token

    def _lifetime(self, content: dict[str, Any]) -> float | None:
        """The seconds until the token ends; None for a value that cannot be a lifetime."""
        auth, default = self._auth, type(self._auth).default_token_expiration
        is_dlts = (
            type(auth).parse_expiration_in_seconds is OAuth2ClientCredentials.parse_expiration_in_seconds
        )
        if not is_dlts:
            try:
                seconds: Any = auth.parse_expiration_in_seconds(content)
            except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
                return None
        elif "expires_in" in content:
            seconds = content["expires_in"]
        else:
            # dlt's default of an hour is a guess. The user's own number is none.
            seconds = None if auth.default_token_expiration == default else auth.default_token_expiration
        return _seconds(seconds)

    def _no_token(self, problem: str) -> NoTokenError:
        return NoTokenError(self._resource, self.name, problem)


class _OwnRenewal(_Source):
    """Obtains tokens through the user's own methods, or through those of dlt's `OAuthJWTAuth`."""

    @property
    def name(self) -> str:
        return f"{type(self._auth).__name__}.obtain_token"

    def held(self) -> Grant | None:
        found = getattr(self._auth, "access_token", None) or getattr(self._auth, "token", None)
        return Grant(found) if isinstance(found, str) and found else None

    def is_expired(self) -> bool:
        is_expired = getattr(self._auth, "is_token_expired", None)
        return callable(is_expired) and bool(is_expired())

    def obtain(self) -> Grant:
        try:
            self._auth.obtain_token()
        except RequestException as error:
            raise _failed(error, self._resource, self.name, self._config) from None
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise NoTokenError(self._resource, self.name, f"it fails with {type(error).__name__}") from None
        held = self.held()
        if held is None:
            raise NoTokenError(self._resource, self.name, "it sets no access_token")
        return held


def _key(auth: Any) -> Any:
    """The key of an auth. dlt makes one auth for each resource, and those of one client share a token."""
    if type(auth) is not OAuth2ClientCredentials:
        return id(auth)
    given = (auth.access_token_url, auth.client_id, auth.client_secret, auth.default_token_expiration)
    return (*given, repr(auth.access_token_request_data), id(auth.session))


def _renews_as_dlt(auth: Any) -> bool:
    """Whether an auth obtains and ends its tokens by dlt's own methods."""
    dlts = OAuth2ClientCredentials
    return (
        isinstance(auth, dlts)
        and type(auth).obtain_token is dlts.obtain_token
        and type(auth).is_token_expired is dlts.is_token_expired
    )


def _failed(error: RequestException, resource: str, name: str, config: RequestsConfig) -> SyncError:
    """Returns the failure of a token request that another session than `ApiSession` sent."""
    if isinstance(error, HTTPError) and error.response is not None:
        endpoint, status = endpoint_of(error.response.request), error.response.status_code
        decision = classify(Exchange(status), Caller(Judge.TOKEN_REQUEST), config)
        return SyncHalted(resource, endpoint, status, 1, decision.reason, fault=decision.fault)
    return NoTokenError(resource, name, f"no response came ({type(error).__name__})")


def _seconds(value: Any) -> float | None:
    """Reads the lifetime of a token in seconds; None for a value that cannot be one."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        seconds = float(value)
    except (OverflowError, ValueError):
        return None
    return seconds if 0 < seconds <= _LONGEST_LIFETIME else None
