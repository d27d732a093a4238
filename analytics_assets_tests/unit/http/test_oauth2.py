"""The renewal of OAuth2 tokens: when a token is requested, how often, and what a refused token means."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from dlt.common import pendulum
from dlt.sources.helpers.rest_client.auth import (
    APIKeyAuth,
    OAuth2AuthBase,
    OAuth2ClientCredentials,
    OAuthJWTAuth,
)
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator, SinglePagePaginator
from requests import PreparedRequest

from analytics_assets.config.models import RequestsConfig
from analytics_assets.config.responses import ResponseRule
from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.ingestion.errors import Fault, ForeignOriginError, NoTokenError, SyncHalted
from analytics_assets.ingestion.http import access_token
from analytics_assets.ingestion.http.access_token import Token
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.circuit_breaker import Phase, Policy
from analytics_assets.ingestion.http.dlt_paginators import PagingBySession
from analytics_assets.ingestion.http.origins import Origins
from analytics_assets.ingestion.http.page_reader import Paging
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.response import PagingFields, ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets_tests.answering import Asked, Reply, answering, api_session
from analytics_assets_tests.memory_circuit import MemoryCircuit

REFUSED = Reply({"error": "invalid_token"}, 401)


class Api:
    """An API whose tokens live for `lifetime` seconds of its own clock, which each page moves by `page_seconds`."""

    def __init__(self, lifetime: float = 3600, page_seconds: float = 0, size: int = 100) -> None:
        self.now = 1000.0
        self.lifetime = lifetime
        self.page_seconds = page_seconds
        self.size = size
        self.url = ""
        self.valid: dict[str, float] = {}
        self.issued = 0
        self.statuses: list[int] = []
        self.authorizations: list[str] = []
        self.log = MemoryCircuit(Policy(300, 21_600, 100), "an_api", clock=lambda: self.now)
        self.telemetry = Telemetry("rows")
        self.waits: list[float] = []
        self.grant: Callable[[str], Any] = lambda token: {
            "access_token": token,
            "expires_in": self.lifetime,
        }
        self.refusal = REFUSED
        self._lock = threading.Lock()

    def reply(self, asked: Asked) -> Any:
        with self._lock:
            if asked.path == "/token":
                return self._token()
            self.authorizations.append(asked.headers.get("authorization", ""))
            token = self.token_of(asked)
            said = self._page(asked) if self.valid.get(token, 0) > self.now else self.refusal
            self.statuses.append(said.status if isinstance(said, Reply) else 200)
            return said

    def token_of(self, asked: Asked) -> str:
        return asked.headers.get("authorization", "").removeprefix("Bearer ")

    def revoke(self) -> None:
        self.valid.clear()

    def _token(self) -> Any:
        self.issued += 1
        token = f"token-number-{self.issued}"
        self.valid[token] = self.now + self.lifetime
        return self.grant(token)

    def _page(self, asked: Asked) -> Any:
        self.now += self.page_seconds
        start = int(asked.params.get("offset", 0))
        rows = [{"id": n} for n in range(start, min(start + 10, self.size))]
        return {"rows": rows, "total": self.size}

    def session(self, **config: Any) -> ApiSession:
        return ApiSession(
            "rows",
            Origins(self.url),
            RateLimiter(RequestsConfig(**config)),
            Breaker(self.log, "rows", "a run", lambda: self.now, sleep=lambda _: None),
            Secrets(),
            self.telemetry,
            sleep=self.sleep,
            jitter=lambda: 0.0,
            clock=lambda: self.now,
        )

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def auth(self, kind: type[Any] = OAuth2ClientCredentials, **fields: Any) -> Any:
        given = {"access_token_url": f"{self.url}/token", "client_id": "me", "client_secret": "s3cr3t"}
        return kind(**given | fields)

    def sweep(self, auth: Any = None, **config: Any) -> list[int]:
        """Reads all rows by offset. Returns their ids."""
        reader = ResponseReader("rows", RowRules("rows", paged=True), PagingFields("total"))
        paginator = PagingBySession(Paging(OffsetPaginator(10), reader, ("id",), overlap=False))
        with self.session(**config) as session:
            client = RESTClient(self.url, auth=auth or self.auth(), session=session)
            pages = client.paginate("/rows", paginator=paginator, data_selector="$")
            return [row["id"] for page in pages for row in page]


@contextmanager
def running(api: Api) -> Iterator[Api]:
    with answering(api.reply) as url:
        api.url = url
        yield api


@pytest.fixture
def api() -> Iterator[Api]:
    with running(Api()) as made:
        yield made


def assert_all_rows(api: Api, ids: list[int]) -> None:
    assert sorted(ids) == list(range(api.size))
    assert api.log.events == []
    assert api.waits == []
    assert api.telemetry.retries == 0


@pytest.mark.parametrize(
    ("lifetime", "page_seconds", "tokens"),
    [(15, 1, 3), (15, 2.5, 7), (3600, 1, 1), (1, 0.1, 4), (0.5, 0.4, 31)],
)
def test_a_token_is_renewed_before_it_ends(lifetime: float, page_seconds: float, tokens: int) -> None:
    with running(Api(lifetime, page_seconds, size=300)) as api:
        assert_all_rows(api, api.sweep(max_in_flight=1))
        assert api.statuses.count(401) == 0
        assert api.issued == tokens
        assert api.telemetry.pages == 31


def test_a_revoked_token_costs_one_token_request_for_all_threads() -> None:
    """Eight requests are in flight when the token is revoked. All get a 401 before the first renewal."""

    class Revoking(Api):
        def reply(self, asked: Asked) -> Any:
            if self.token_of(asked) == "token-number-1" and asked.params.get("offset", "0") != "0":
                together.wait()
            return super().reply(asked)

    with running(Revoking(size=400)) as api:
        together = threading.Barrier(8, action=api.revoke, timeout=10)
        assert_all_rows(api, api.sweep(max_in_flight=8))
        assert (api.issued, api.statuses.count(401)) == (2, 8)
        assert api.telemetry.pages == 41


def test_a_token_without_a_lifetime_is_renewed_after_each_401() -> None:
    with running(Api(lifetime=5, page_seconds=1, size=300)) as api:
        api.grant = lambda token: {"access_token": token}
        assert_all_rows(api, api.sweep(max_in_flight=1))
        assert api.issued == api.statuses.count(401) + 1 == 7


@pytest.mark.parametrize(("most", "is_halted"), [(3, False), (4, True)])
def test_a_fresh_token_that_others_have_used_up_is_renewed(most: int, *, is_halted: bool) -> None:
    """Another request gets an answer with each new token before this one does, and uses it up. `max_retries` is 3."""

    class OfFewRequests(Api):
        refused = 0

        def _page(self, asked: Asked) -> Any:
            if asked.params.get("offset") == "10" and self.refused <= most:
                self.refused += 1
                for token in tokens:
                    token.accepted = True  # as another thread does, meanwhile
                return REFUSED
            return super()._page(asked)

    def issued(*args: Any) -> Token:
        tokens.append(Token(*args))
        return tokens[-1]

    tokens: list[Token] = []
    with running(OfFewRequests(size=20)) as api, pytest.MonkeyPatch.context() as patch:
        patch.setattr(access_token, "Token", issued)
        if is_halted:
            with pytest.raises(SyncHalted) as caught:
                api.sweep(max_in_flight=1)
            assert (caught.value.status, caught.value.attempts) == (401, 5)
        else:
            assert_all_rows(api, api.sweep(max_in_flight=1))
        assert api.issued == 5


@pytest.mark.parametrize("threads", [1, 8])
def test_a_fresh_token_that_is_refused_is_the_keys_fault(threads: int) -> None:
    class Refusing(Api):
        def _page(self, asked: Asked) -> Any:
            return super()._page(asked) if asked.params.get("offset", "0") == "0" and threads > 1 else REFUSED

    with running(Refusing(size=400)) as api:
        with pytest.raises(SyncHalted, match="the API does not accept the key") as caught:
            api.sweep(max_in_flight=threads)
        assert (caught.value.status, caught.value.outage, caught.value.fault) == (401, True, Fault.CONFIG)
        # A page that is requested after the renewal has no old token, so its first 401 is the last.
        assert caught.value.attempts == 2 or threads == 8
        assert api.issued == 2
        assert api.log.circuit().phase(api.now) is Phase.OPEN
        assert api.waits == []


def test_a_probe_is_one_request_and_a_fresh_token_is_not_renewed(api: Api) -> None:
    api.grant = lambda _: {"access_token": "not accepted"}
    for cooldown in (0, 300, 600):
        api.now += cooldown
        issued, asked = api.issued, len(api.statuses)
        with pytest.raises(SyncHalted):
            api.sweep(max_in_flight=1)
        expected = (2, 2) if cooldown == 0 else (1, 1)
        assert (api.issued - issued, len(api.statuses) - asked) == expected
    assert [event.kind.value for event in api.log.events] == ["opened", *["probe", "opened"] * 2]
    api.grant = lambda token: {"access_token": token}
    api.now += 1200
    assert len(api.sweep(max_in_flight=1)) == api.size
    assert api.log.circuit().phase(api.now) is Phase.CLOSED


def test_a_renewal_during_the_retries_of_another_request_waits_and_does_not_hang() -> None:
    """A request is in its retries, and holds the lock, when its token ends. Seven others wait for a new token, too."""

    class Failing(Api):
        failed = 0

        def _page(self, asked: Asked) -> Any:
            if asked.params.get("offset") == "50" and self.failed < 2:
                self.failed += 1
                return Reply({}, 503)
            return super()._page(asked)

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            self.now += 10

    with running(Failing(lifetime=8, size=400)) as api:
        assert sorted(api.sweep(max_in_flight=8)) == list(range(400))
        assert api.waits == [2, 4]
        assert api.log.events == []


def test_a_token_that_ends_while_a_request_waits_for_its_turn_is_renewed() -> None:
    """The limit of the API resets after 100 seconds, and its tokens live for 60."""

    class Limited(Api):
        def _page(self, asked: Asked) -> Any:
            limits = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "100"}
            return Reply(super()._page(asked), 200, limits)

        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            self.now += seconds

    with running(Limited(lifetime=60, size=30)) as api:
        assert sorted(api.sweep(max_in_flight=1)) == list(range(30))
        assert api.statuses.count(401) == 0
        assert api.log.events == []


@pytest.mark.matrix(keep=6)
@pytest.mark.parametrize(
    ("lifetime", "renewed_after"),
    [
        (100, 80),
        ("3600", 3570),
        (3600.0, 3570),
        (30, 24),
        (None, None),
        ("abc", None),
        (10**30, None),
        (10**400, None),
        (-5, None),
        (0, None),
        ("", None),
        (True, None),
        ([3600], None),
        ("absent", None),
    ],
)
def test_the_lifetime_of_a_token(api: Api, lifetime: Any, renewed_after: float | None) -> None:
    """A token without a readable lifetime is renewed only after a 401."""
    given = {} if lifetime == "absent" else {"expires_in": lifetime}
    api.grant = lambda token: {"access_token": token, **given}
    api.lifetime = 1e9
    with api.session() as session:
        client = RESTClient(api.url, auth=api.auth(), session=session, paginator=SinglePagePaginator())
        for seconds, issued in ((0, 1), ((renewed_after or 1e6) - 1, 1), (1, 2 if renewed_after else 1)):
            api.now += seconds
            list(client.paginate("/rows"))
            assert api.issued == issued


def test_the_users_own_default_lifetime_counts(api: Api) -> None:
    api.grant = lambda token: {"access_token": token}
    with api.session() as session:
        auth = api.auth(default_token_expiration=100)
        client = RESTClient(api.url, auth=auth, session=session, paginator=SinglePagePaginator())
        for seconds, issued in ((0, 1), (79, 1), (1, 2)):
            api.now += seconds
            list(client.paginate("/rows"))
            assert api.issued == issued


def test_a_server_that_issues_the_same_token_until_it_ends_is_not_asked_again_and_again() -> None:
    with running(Api(lifetime=20, page_seconds=1, size=500)) as api:
        ends = [api.now + 20]

        def grant(_: str) -> Any:
            if api.now >= ends[0]:
                ends[0] = api.now + 20
            cached = f"token-that-ends-at-{ends[0]:.0f}"
            api.valid[cached] = ends[0]
            return {"access_token": cached, "expires_in": ends[0] - api.now}

        api.grant = grant
        assert sorted(api.sweep(max_in_flight=1)) == list(range(500))
        assert api.log.events == []
        assert api.issued <= 6


NOT_JSON = "its response is not JSON"


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (Reply(b"<html>"), NOT_JSON),
        (Reply(b""), NOT_JSON),
        (Reply([]), "its response is not a JSON object"),
        (Reply({}), "its response has no access_token (it is empty)"),
        (Reply({"token": "x"}), "its response has no access_token (it has token)"),
        (
            Reply({"error": "invalid_client"}),
            "its response has no access_token (it has error). The API says: invalid_client",
        ),
        (
            Reply({"access_token": None, "expires_in": 5}),
            "the access_token of its response is null (it has access_token, expires_in)",
        ),
        (
            Reply({"access_token": " "}),
            "the access_token of its response is an empty text (it has access_token)",
        ),
        (
            Reply({"access_token": 7}),
            "the access_token of its response is a whole number (it has access_token)",
        ),
        (Reply({"access_token": "a\nb"}), "its token has characters that no HTTP header can carry"),
        (Reply({"access_token": "schlüssel"}), "its token has characters that no HTTP header can carry"),
    ],
)
def test_a_response_without_a_token_is_one_sentence(api: Api, answer: Reply, problem: str) -> None:
    api.grant = lambda _: answer
    with pytest.raises(NoTokenError) as caught:
        api.sweep()
    assert (caught.value.origin, caught.value.problem) == ("POST /token", problem)
    assert (api.issued, api.statuses, api.log.events) == (1, [], [])


@pytest.mark.parametrize(
    ("answer", "requests_sent", "opens", "reason"),
    [
        (
            Reply({"error": "invalid_client"}, 401),
            1,
            True,
            "401 Unauthorized; it issues no token: check client_id and client_secret",
        ),
        (
            Reply({"error": "invalid_client", "error_description": "AADSTS7000215, trace 17"}, 400),
            1,
            True,
            "400 Bad Request; it issues no token: check client_id and client_secret",
        ),
        (Reply({"error": "invalid_scope"}, 400), 1, False, "; the API says: invalid_scope"),
        (Reply({}, 404), 1, False, "404 Not Found; there is no token endpoint: check access_token_url"),
        (Reply({}, 503), 4, True, "503 Service Unavailable"),
        (Reply({}, 429), 4, True, "429 Too Many Requests"),
    ],
)
def test_a_token_endpoint_that_fails(
    api: Api, answer: Reply, requests_sent: int, opens: bool, reason: str
) -> None:
    api.grant = lambda _: answer
    with pytest.raises(SyncHalted) as caught:
        api.sweep()
    assert caught.value.endpoint == "POST /token"
    assert caught.value.reason.endswith(reason)
    assert (caught.value.outage, bool(api.log.events)) == (opens, opens)
    assert (api.issued, caught.value.attempts, api.statuses) == (requests_sent, requests_sent, [])


def test_an_access_token_url_that_is_no_url(api: Api) -> None:
    with pytest.raises(NoTokenError, match="no response came"):
        api.sweep(api.auth(access_token_url="token"))


@pytest.mark.parametrize(
    ("refusal", "responses", "renewed"),
    [
        (Reply({}, 403, {"WWW-Authenticate": 'Bearer error="invalid_token"'}), [], True),
        (Reply({}, 403, {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}), [], False),
        (Reply({}, 403), [], False),
        (Reply({}, 403), [ResponseRule(status=403, action="refresh_token")], True),
        (Reply({"code": 190}, 400), [ResponseRule(body={"code": 190}, action="refresh_token")], True),
        (
            Reply({"error": "expired"}),
            [ResponseRule(body={"error": "expired"}, action="refresh_token")],
            True,
        ),
    ],
)
def test_a_token_that_is_refused_in_another_way(
    refusal: Reply, responses: list[ResponseRule], renewed: bool
) -> None:
    class Revoking(Api):
        def _page(self, asked: Asked) -> Any:
            if asked.params.get("offset") == "50" and self.issued == 1:
                self.revoke()
                return self.refusal
            return super()._page(asked)

    with running(Revoking()) as api:
        api.refusal = refusal
        if renewed:
            assert_all_rows(api, api.sweep(max_in_flight=1, responses=responses))
        else:
            with pytest.raises(SyncHalted, match="403 Forbidden"):
                api.sweep(max_in_flight=1, responses=responses)
        assert api.issued == 1 + renewed


@pytest.mark.parametrize("status", [401, 400])
def test_a_rule_that_renews_opens_the_circuit_if_the_new_token_is_refused_too(status: int, api: Api) -> None:
    api.grant = lambda _: {"access_token": "not accepted"}
    api.refusal = Reply({}, status)
    rule = ResponseRule(status=status, action="refresh_token")
    with pytest.raises(SyncHalted, match=r"which requests\.responses calls `refresh_token`") as caught:
        api.sweep(max_in_flight=1, responses=[rule])
    assert (api.issued, caught.value.outage, api.log.circuit().phase(api.now)) == (2, True, Phase.OPEN)


def test_a_401_in_retry_statuses_is_retried_only_with_a_new_token(api: Api) -> None:
    api.grant = lambda _: {"access_token": "not accepted"}
    with pytest.raises(SyncHalted):
        api.sweep(max_in_flight=1, retry_statuses=frozenset({401}))
    assert (api.issued, api.waits) == (2, [2, 4, 8])


class Basic(OAuth2ClientCredentials):
    """As in dlt's docs: the class of an API whose token request differs."""

    def build_access_token_request(self) -> dict[str, Any]:
        return {"auth": (self.client_id, self.client_secret), "data": {"grant_type": "account_credentials"}}

    def parse_access_token(self, response_json: Any) -> str:
        return str(response_json["data"]["token"])

    def parse_expiration_in_seconds(self, response_json: Any) -> int:
        return int(response_json["data"]["seconds"])


class InUrl(OAuth2ClientCredentials):
    """A class that sends the token as a parameter."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        signed = super().__call__(request)
        del signed.headers["Authorization"]
        signed.prepare_url(signed.url, {"access_token": self.access_token})
        return signed


class Own(OAuth2AuthBase):
    """A class with a renewal of its own."""

    def __init__(self, url: str, clock: Callable[[], float]) -> None:
        super().__init__()
        self._url = url
        self._clock = clock
        self._ends = 0.0

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        if self.is_token_expired():
            self.obtain_token()
        request.headers["X-Token"] = f"key={self.access_token}"
        return request

    def is_token_expired(self) -> bool:
        return self._clock() >= self._ends

    def obtain_token(self) -> None:
        response = requests.post(self._url, timeout=10)
        response.raise_for_status()
        self.access_token = response.json()["access_token"]
        self._ends = self._clock() + response.json()["expires_in"]


class Jwt(OAuthJWTAuth):
    """dlt's own class for a signed request, without the signature."""

    def obtain_token(self) -> None:
        self.token = requests.post(str(self.auth_endpoint), timeout=10).json()["access_token"]
        self.token_expiry = pendulum.now().add(hours=1)


def nested(api: Api) -> Any:
    api.grant = lambda token: {"data": {"token": token, "seconds": api.lifetime}}
    return api.auth(Basic)


def in_url(api: Api) -> Any:
    api.token_of = lambda asked: asked.params.get("access_token", "")  # type: ignore[method-assign]
    return api.auth(InUrl)


def own(api: Api) -> Any:
    api.token_of = lambda asked: asked.headers.get("x-token", "").removeprefix("key=")  # type: ignore[method-assign]
    return Own(f"{api.url}/token", lambda: api.now)


def jwt(api: Api) -> Any:
    return Jwt(client_id="me", private_key="s3cr3t", auth_endpoint=f"{api.url}/token")


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize("auth", [nested, in_url, own, jwt])
@pytest.mark.parametrize("revoked", [False, True])
def test_a_class_of_the_users_own_renews_its_token(auth: Callable[[Api], Any], revoked: bool) -> None:
    class Revoking(Api):
        def _page(self, asked: Asked) -> Any:
            if asked.params.get("offset") == "50" and self.issued == 1:
                self.revoke()
                return self.refusal
            return super()._page(asked)

    with running(Revoking() if revoked else Api(lifetime=15, page_seconds=1, size=300)) as api:
        made = auth(api)
        assert_all_rows(api, api.sweep(made, max_in_flight=1))
        assert api.issued == 2 if revoked else 2 <= api.issued <= 4
        assert api.statuses.count(401) == revoked or auth is jwt
        again = api.issued
        assert_all_rows(api, api.sweep(made))
        assert api.issued > again or auth in (own, jwt), "the same object serves another sync"


class Broken(Own):
    def obtain_token(self) -> None:
        response = requests.post(self._url, timeout=10)
        response.raise_for_status()
        self.access_token = response.json()["no such field"]


def test_a_class_that_fails_is_one_sentence(api: Api) -> None:
    """Its first token comes while dlt prepares a request, and its second one while the transport sends one."""
    auth = own(api)
    with api.session() as session:
        client = RESTClient(api.url, auth=auth, session=session, paginator=SinglePagePaginator())
        list(client.paginate("/rows"))
        auth.__class__ = Broken
        api.revoke()
        with pytest.raises(NoTokenError) as caught:
            list(client.paginate("/rows"))
        assert (caught.value.origin, caught.value.problem) == (
            "Broken.obtain_token",
            "it fails with KeyError",
        )
        api.grant = lambda _: Reply({}, 503)
        with pytest.raises(SyncHalted) as halted:
            list(client.paginate("/rows"))
    assert (halted.value.endpoint, halted.value.status, halted.value.fault) == (
        "POST /token",
        503,
        Fault.TRANSIENT,
    )


def test_a_class_that_cannot_renew_gets_no_second_request(api: Api) -> None:
    with pytest.raises(SyncHalted, match="the API does not accept the key"):
        api.sweep(OAuth2AuthBase(access_token="a token"))
    assert (api.issued, api.statuses) == (0, [401])


class SignsUrl(APIKeyAuth):
    """A class that signs the URL of each request, and that is a subclass of a type that does not."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {signature(str(request.path_url))}"
        return request


def signature(path: str) -> str:
    return hashlib.sha256(path.encode()).hexdigest()


def test_a_class_that_signs_each_url_signs_each_page(api: Api) -> None:
    def token_of(asked: Asked) -> str:
        expected = signature(f"{asked.path}?{urlencode(asked.params)}")
        api.valid[expected] = api.now + 1
        return asked.headers.get("authorization", "").removeprefix("Bearer ")

    api.token_of = token_of  # type: ignore[method-assign]
    assert_all_rows(api, api.sweep(SignsUrl(api_key="k"), max_in_flight=8))
    assert set(api.statuses) == {200}


def test_the_resources_of_one_client_share_a_token(api: Api) -> None:
    """dlt makes an auth for each resource. Some servers end the old token when they issue a new one."""
    with api.session() as session:
        for _ in range(3):
            client = RESTClient(api.url, auth=api.auth(), session=session, paginator=SinglePagePaginator())
            list(client.paginate("/rows"))
        other = api.auth(client_id="another")
        list(
            RESTClient(api.url, auth=other, session=session, paginator=SinglePagePaginator()).paginate(
                "/rows"
            )
        )
    assert api.issued == 2


def test_a_redirect_to_another_host_does_not_get_the_token(api: Api) -> None:
    got: list[Asked] = []

    def other(asked: Asked) -> Any:
        got.append(asked)
        return {"rows": [], "total": 0}

    with answering(other) as elsewhere, api.session() as session:
        api._page = lambda _: Reply({}, 302, {"Location": f"{elsewhere}/rows"})  # type: ignore[method-assign,assignment]
        client = RESTClient(api.url, auth=api.auth(), session=session, paginator=SinglePagePaginator())
        with pytest.raises(ForeignOriginError):
            list(client.paginate("/rows"))
    assert got == []


def test_a_token_is_in_no_log_and_no_request_and_the_response_stays_as_it_came(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = Secrets({secret_reference("client_secret"): "s3cr3t-value"})
    echo = {"rows": [{"id": 1, "seen": "Bearer token-number-1"}], "total": 1}
    api._page = lambda _: Reply(echo, 200, {"X-Seen": "token-number-1"})  # type: ignore[method-assign,assignment]
    caplog.set_level("DEBUG")
    with api_session(secrets=secrets) as session:
        client = RESTClient(api.url, auth=api.auth(), session=session, paginator=SinglePagePaginator())
        [page] = client.paginate("/rows")
        response = page.response
    assert "token-number-1" not in f"{response.request.headers} {caplog.text}"
    assert (response.json(), response.headers["X-Seen"]) == (echo, "token-number-1")
    assert api.authorizations == ["Bearer token-number-1"]
    assert secrets.redact("token-number-1") != "token-number-1"


@pytest.mark.parametrize("token", ["s3cr3t-value", "token-number-1"])
def test_a_token_that_is_known_already_is_sent_as_it_is(api: Api, token: str) -> None:
    """The token is the client's secret, or comes twice."""
    secrets = Secrets({secret_reference("client_secret"): "s3cr3t-value"})
    api.grant = lambda _: {"access_token": token}
    with api_session(secrets=secrets) as session:
        auth = api.auth(client_secret=secret_reference("client_secret"))
        client = RESTClient(api.url, auth=auth, session=session, paginator=SinglePagePaginator())
        api.valid[token] = api.now + 10
        list(client.paginate("/rows"))
        api.revoke()
        with pytest.raises(SyncHalted):
            list(client.paginate("/rows"))
    assert api.issued == 2
    assert set(api.authorizations) == {f"Bearer {token}"}


def test_many_tokens_do_not_make_redaction_slow() -> None:
    secrets = Secrets({secret_reference("api_key"): "the-key-of-the-api"})
    for number in range(1000):
        secrets.learn("access_token", f"token-number-{number}")
    assert "token-number-999" not in secrets.redact("token-number-999")
    assert secrets.redact("the-key-of-the-api") == secret_reference("api_key")
    assert len(secrets._encodings) < 500


def test_a_refused_response_reaches_the_users_hooks_only_with_a_new_token(api: Api) -> None:
    seen: list[int] = []

    def also(response: Any, **_: Any) -> Any:
        return response

    def hook(response: Any, **_: Any) -> Any:
        seen.append(response.status_code)
        return response

    with api.session() as session:
        for _ in range(2):
            session.get(f"{api.url}/rows", auth=api.auth(), hooks={"response": [also, hook]})
            api.revoke()
        api.grant = lambda _: {"access_token": "not accepted"}
        session.get(f"{api.url}/rows", auth=api.auth(), hooks={"response": [also, hook]})
    assert seen == [200, 200, 401]


def test_the_expiry_of_dlt_alone_is_never_asked(api: Api) -> None:
    """dlt's own expiry has no margin, and would request a token while a request is prepared."""
    auth = api.auth()
    assert auth.token_expiry <= pendulum.now()
    assert len(api.sweep(auth)) == api.size
    assert auth.access_token is None, "the user's object has no token of a sync"
