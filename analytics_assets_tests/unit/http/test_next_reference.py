"""What a response names as the next page: the end, a link or cursor that is followed, or one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dlt.sources.helpers.rest_client.client import RESTClient
from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
)

from analytics_assets.ingestion.errors import ForeignOriginError, PagingFieldError
from analytics_assets.ingestion.http.dlt_paginators import CheckedPaginator
from analytics_assets.ingestion.http.origins import Origins
from analytics_assets.ingestion.http.read_bounds import ReadBounds
from analytics_assets.ingestion.http.response import ResponseReader
from analytics_assets.ingestion.http.row_selection import RowRules
from analytics_assets_tests.answering import Asked, Reply, answering, api_session


def read(
    paginator: BasePaginator, reply: Any, method: Any = "GET", **options: Any
) -> tuple[list[Asked], str]:
    """Reads all pages, where each page after the first is empty. Returns the requests, and the base URL."""
    asked: list[Asked] = []

    def answer(request: Asked) -> Any:
        asked.append(request)
        return reply if len(asked) == 1 else {"data": []}

    with answering(answer) as url, api_session(origins=Origins(url), max_retries=0) as session:
        reader = ResponseReader("things", RowRules("data"))
        checked = CheckedPaginator(paginator, reader, (), ReadBounds())
        pages = RESTClient(url, session=session).paginate(
            "/v1/things", method, paginator=checked, data_selector="data", **options
        )
        list(pages)
        return asked, url


def page(literal: str) -> bytes:
    return b'{"data": [{"id": 1}], "next": %s}' % literal.encode()


@pytest.mark.parametrize("literal", ['""', '" "', "false", "0", "0.0", "null", "[]", "{}"])
@pytest.mark.parametrize("kind", [JSONLinkPaginator, JSONResponseCursorPaginator])
def test_the_end(kind: Any, literal: str) -> None:
    paginator = kind("next")
    assert len(read(paginator, page(literal))[0]) == 1


def test_no_next_is_the_end() -> None:
    assert len(read(JSONLinkPaginator("next"), {"data": [{"id": 1}]})[0]) == 1


@pytest.mark.parametrize(
    ("link", "path", "params"),
    [
        ("/v2/things?page=2", "/v2/things", {"page": "2"}),
        ("?page=2", "/v1/things", {"page": "2"}),
        ("other?page=2", "/v1/other", {"page": "2"}),
        (" /v1/things?page=2 ", "/v1/things", {"page": "2"}),
        ("/v1/things?page=2\n", "/v1/things", {"page": "2"}),
        ("/v1/things?name=a b", "/v1/things", {"name": "a b"}),
        ("/v1/things?at=2026-01-05T10:00:00", "/v1/things", {"at": "2026-01-05T10:00:00"}),
        ("/v1/caf\u00e9", "/v1/caf%C3%A9", {}),
    ],
)
def test_a_link_that_is_followed(link: str, path: str, params: dict[str, str]) -> None:
    asked, _ = read(JSONLinkPaginator("next"), page(json.dumps(link)))
    assert [(one.path, one.params) for one in asked[1:]] == [(path, params)]


LINKS = [
    ("5", "a whole number and no link"),
    ("-1", "a whole number and no link"),
    ("1.5", "a number and no link"),
    ("1e400", "a number too large for a double and no link"),
    ("true", "true or false and no link"),
    ('["/things?page=2"]', "a list and no link"),
    ('{"href": "/things?page=2"}', "an object and no link"),
    ("[" * 5000 + "]" * 5000, "a list and no link"),
    ('"file:///etc/passwd"', "a link of the scheme `file`"),
    ('"javascript:alert(1)"', "a link of the scheme `javascript`"),
    ('"FTP://example.com/x"', "a link of the scheme `ftp`"),
    ('"localhost:80/things"', "a link of the scheme `localhost`"),
    ('"/things?page=\\u0001"', "a text with characters that no link has"),
    ('"/things?page=\\ud800"', "a text with characters that no link has"),
    ('"http://["', "a malformed link"),
    ('"http://"', "a malformed link"),
    ('"http:/things?page=2"', "a malformed link"),
    ('"http://example.com:99999/"', "a malformed link"),
]


@pytest.mark.parametrize(("literal", "found"), LINKS, ids=[one[0][:30] for one in LINKS])
def test_a_link_that_cannot_be_followed(literal: str, found: str) -> None:
    with pytest.raises(PagingFieldError) as caught:
        read(JSONLinkPaginator("next"), page(literal))
    error = caught.value
    assert (error.path, error.setting, error.found) == ("next", "next_url_path", found)
    assert "Set the paginator's next_url_path to the field that leads to the next page" in str(error)


@pytest.mark.parametrize("link", ["//other.example/x", "http://other.example/", "https://127.0.0.1/x"])
def test_a_link_elsewhere_is_judged_by_its_origin(link: str) -> None:
    with pytest.raises(ForeignOriginError):
        read(JSONLinkPaginator("next"), page(json.dumps(link)))


def test_a_link_header_is_judged_too() -> None:
    first = Reply({"data": [{"id": 1}]}, headers={"Link": '<file:///etc/passwd>; rel="next"'})
    with pytest.raises(PagingFieldError) as caught:
        read(HeaderLinkPaginator(), first)
    assert (caught.value.path, caught.value.found) == ("Link", "a link of the scheme `file`")


@pytest.mark.parametrize(
    ("literal", "sent"),
    [("5", "5"), ('"a b\\u00e9\\n"', "a bé\n"), ("12345678901234567890.123", "12345678901234567890.123")],
)
def test_a_cursor_that_is_sent(literal: str, sent: str) -> None:
    asked, _ = read(JSONResponseCursorPaginator("next", "cursor"), page(literal))
    assert [one.params["cursor"] for one in asked[1:]] == [sent]


def test_a_cursor_in_a_body_may_be_a_list() -> None:
    paginator = JSONResponseCursorPaginator("next", cursor_param=None, cursor_body_path="after")
    asked, _ = read(paginator, page('["a", 5]'), "POST", json={"size": 1})
    assert json.loads(asked[1].body) == {"size": 1, "after": ["a", 5]}


@pytest.mark.parametrize(
    ("literal", "found"),
    [
        ("true", "true or false and no cursor"),
        ('["a"]', "a list and no cursor"),
        ('{"a": 1}', "an object and no cursor"),
        ("NaN", "NaN or infinite and no cursor"),
        ("1e400", "a number too large for a double and no cursor"),
        ('"\\ud800"', "a text that is not valid Unicode"),
    ],
)
def test_a_cursor_that_cannot_be_sent(literal: str, found: str) -> None:
    with pytest.raises(PagingFieldError) as caught:
        read(JSONResponseCursorPaginator("next", "cursor"), page(literal))
    assert (caught.value.setting, caught.value.found) == ("cursor_path", found)
