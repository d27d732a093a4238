"""The OAuth2 access token of one auth: when it is renewed, so that all threads of a sync share one renewal.

`oauth2.py` obtains the tokens. The transport puts the token into each request, and reports a token that is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_hex
from threading import RLock
from typing import Protocol

from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.ingestion.http.redaction import Secrets

log = logging.getLogger("analytics_assets")

_MARGIN = 30.0
"""Seconds before the end of a token at which it is renewed, so that no request arrives with a token that has ended."""

_MARGIN_SHARE = 0.2
"""The largest margin as a share of the lifetime, so that a token that lives only seconds is used, too."""


@dataclass(frozen=True)
class Grant:
    """A token that a token endpoint has issued.

    Attributes:
        value: the token.
        lifetime: the seconds until the token ends; None if unknown.
    """

    value: str
    lifetime: float | None = None


class TokenSource(Protocol):
    """Obtains tokens. Only one thread at a time calls `obtain`.

    Attributes:
        name: the place that the tokens come from, for log and error texts.
    """

    @property
    def name(self) -> str: ...  # noqa: D102  described by the class

    def held(self) -> Grant | None:
        """The token that the auth holds; None if there is none."""

    def obtain(self) -> Grant:
        """Obtains a new token.

        Raises:
            SyncError: the token endpoint issues no token.
        """

    def is_expired(self) -> bool:
        """Whether the auth itself calls its token expired."""


@dataclass(eq=False)
class Token:
    """One access token.

    Attributes:
        value: the token.
        renew_at: the time from which the token is renewed, in seconds of the clock; None if its end is unknown.
        after_refusal: whether the API refused the token before this one.
        accepted: whether the API has accepted the token.
    """

    value: str
    renew_at: float | None = None
    after_refusal: bool = False
    accepted: bool = False


class AccessToken:
    """The current token of one auth. The class is thread-safe.

    Requests of dlt have the reference in place of the token. So a request that was prepared before a renewal gets the
    new token, too.

    Args:
        source: obtains the tokens.
        secrets: learn each token, to redact it.
        lock: the lock of a renewal. All other requests wait for it, so none is sent with the old token meanwhile.
        clock: a function that returns seconds of a monotonic clock.

    Attributes:
        reference: the text in place of the token.
    """

    def __init__(
        self, source: TokenSource, secrets: Secrets, lock: RLock, clock: Callable[[], float]
    ) -> None:
        self.reference = secret_reference(f"current_token.{token_hex(4)}")
        self._source = source
        self._secrets = secrets
        self._lock = lock
        self._clock = clock
        self._token: Token | None = None

    def current(self) -> Token:
        """Returns the token for the next request. A token that ends soon is renewed first.

        Raises:
            SyncError: the token endpoint issues no token.
        """
        token = self._token
        return self._renewed(token) if token is None or self._ends_soon(token) else token

    def may_renew(self, token: Token, *, is_probe: bool) -> bool:
        """Whether the API may accept another token, if it refuses `token`.

        A token that replaced a refused one, and that the API has never accepted, is not renewed: the key is at fault.
        A probe is one request, so it renews only a token that the API has accepted before.
        """
        return self._token is not token or token.accepted or not (token.after_refusal or is_probe)

    def renew(self, refused: Token) -> None:
        """Replaces a token that the API refuses. If another thread has already replaced it, nothing happens.

        Raises:
            SyncError: the token endpoint issues no token.
        """
        self._renewed(refused, after_refusal=True)

    def adopt(self) -> str | None:
        """Makes the token that the auth holds now the current one. Returns it; None if the auth holds none."""
        with self._lock:
            held = self._source.held()
            if held is not None and (self._token is None or self._token.value != held.value):
                self._keep(held, sent=self._clock())
            return None if held is None else held.value

    def _ends_soon(self, token: Token) -> bool:
        return (token.renew_at is not None and self._clock() >= token.renew_at) or self._source.is_expired()

    def _renewed(self, old: Token | None, *, after_refusal: bool = False) -> Token:
        with self._lock:
            if self._token is not None and self._token is not old:
                return self._token  # another thread has renewed it meanwhile
            sent = self._clock()  # the API counts the lifetime from an unknown time after this one
            held = self._source.held() if old is None and not self._source.is_expired() else None
            grant = held or self._source.obtain()
            token = self._keep(grant, sent=sent, after_refusal=after_refusal)
            if old is not None:
                because = "the API refused the old one" if after_refusal else "the old one ends"
                log.info("%s: a new OAuth2 token, because %s", self._source.name, because)
            return token

    def _keep(self, grant: Grant, *, sent: float, after_refusal: bool = False) -> Token:
        renew_at = None
        if grant.lifetime is not None:
            is_same = self._token is not None and self._token.value == grant.value
            # Some servers issue the same token until it ends. To renew it early again and again would help nothing.
            margin = 0.0 if is_same else min(_MARGIN, grant.lifetime * _MARGIN_SHARE)
            renew_at = sent + grant.lifetime - margin
        self._secrets.learn("access_token", grant.value)
        self._token = Token(grant.value, renew_at, after_refusal)
        return self._token
