"""The end of paging: a response that says that there is more is not the end, whatever the paginator thinks."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from analytics_assets.ingestion.errors import (
    Fault,
    MissingRowsError,
    MorePagesError,
    NoNewRowsError,
    PagingFieldError,
    RowsMovedError,
    SamePageError,
    SyncError,
    SyncHalted,
)
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.raw_server import Got, raw_server
from analytics_assets_tests.real_api import defs

ROWS = [{"id": number} for number in range(50)]
NEXT = "/things?page=2&token=secret"


def _page(**fields: Any) -> dict[str, Any]:
    return {"data": ROWS, **fields}


MORE = [
    (_page(total=250), "`total` 250"),
    (_page(total="250"), "`total` 250"),
    (_page(totalCount=250), "`totalCount` 250"),
    (_page(total_results=250), "`total_results` 250"),
    (_page(meta={"total": 250}), "`meta.total` 250"),
    (_page(meta={"pagination": {"total_count": 250}}), "`meta.pagination.total_count` 250"),
    (_page(rowCount=250), "`rowCount` 250"),
    (_page(page={"totalElements": 250, "totalPages": 5, "number": 0}), "`page.totalElements` 250"),
    (_page(last_page=5), "`last_page` 5"),
    (_page(meta={"last_page": 5}), "`meta.last_page` 5"),
    (_page(has_more=True), "`has_more` true"),
    (_page(hasMore=True), "`hasMore` true"),
    (_page(pageInfo={"hasNextPage": True}), "`pageInfo.hasNextPage` true"),
    (_page(isLast=False), "`isLast` false"),
    (_page(last=False), "`last` false"),
    (_page(done=False), "`done` false"),
    ({"@odata.nextLink": "http://x/y?$skip=50", **_page()}, "`@odata.nextLink`"),
    (_page(nextPageToken="abc"), "`nextPageToken`"),
    (_page(paging={"next": {"after": "50"}}), "`paging.next`"),
    (_page(_links={"next": {"href": NEXT}}), "`_links.next`"),
    (_page(links=[{"rel": "self", "href": "/"}, {"rel": "next", "href": NEXT}]), "`links`"),
    (_page(response_metadata={"next_cursor": "abc"}), "`response_metadata.next_cursor`"),
    (_page(offset="itr7/rec9"), "`offset`"),  # Airtable
    (_page(cursor="abc"), "`cursor`"),  # Square
    (_page(pagination={"cursor": "abc"}), "`pagination.cursor`"),  # Twitch
    (
        _page(additional_data={"pagination": {"more_items_in_collection": True, "next_start": 50}}),
        "`additional_data.pagination.more_items_in_collection` true",
    ),  # Pipedrive
    (_page(additional_data={"next_cursor": "abc"}), "`additional_data.next_cursor`"),
    (_page(info={"count": 50, "more_records": True}), "`info.more_records` true"),  # Zoho
    (_page(page_context={"page": 1, "has_more_page": True}), "`page_context.has_more_page` true"),
    (_page(limit=50, offset=0, more=True, total=None), "`more` true"),  # PagerDuty
    (_page(has_more=1), "`has_more` 1"),
    (_page(pages={"page": 1, "next": {"starting_after": "x", "page": 2}}), "`pages.next`"),  # Intercom
    (_page(info={"pages": 5}), "`info.pages` 5"),
    (_page(**{"@odata.count": 250}), "`@odata.count` 250"),
    (_page(__count="250"), "`__count` 250"),
    (_page(links=[{"rel": "next-page", "href": NEXT}]), "`links`"),  # Trustpilot
]

ENDS = [
    _page(),
    _page(total=50),
    _page(total=0),
    _page(total=None),
    _page(total=-1),
    _page(count=50, total_pages=1, page=1),
    _page(has_more=False, next_cursor="always-there"),
    _page(next=None, previous="/things?page=0"),
    _page(next=""),
    _page(next_page_url=None, last_page=1, total=50),
    _page(paging={"cursors": {"before": "a", "after": "b"}}),
    _page(response_metadata={"next_cursor": ""}),
    _page(isLast=True),
    _page(done=True),
    _page(pageInfo={"hasNextPage": False, "endCursor": "x"}),
    _page(links={"self": "/things", "next": None}),
    _page(next_cursor="0"),
    _page(first=0, last=0, page=0),
    _page(pagination={"first": 1, "last": 1, "done": 0}),
    _page(cursor="this-page", next_cursor=None),
    _page(cursor="this-page", has_more=False),
    _page(offset="0", limit="50", count=50),
    _page(cursor="", more=False, pages=1),
    _page(summary={"total": 99_000}),
]

HEADERS = [
    ({"Link": f'<{NEXT}>; rel="next"'}, "the header `link`"),
    ({"Link": f'<{NEXT}>; rel="Next last"'}, "the header `link`"),
    ({"X-Total-Count": "250"}, "the header `x-total-count` 250"),
    ({"X-Total-Pages": "5"}, "the header `x-total-pages` 5"),
    ({"X-Next-Page": "2"}, "the header `x-next-page`"),
    ({"Content-Range": "items 0-49/250"}, "the header `content-range` with a total of 250"),
]


@pytest.mark.matrix(keep=6)
@pytest.mark.parametrize("paginator", ["single_page", {"type": "cursor", "cursor_path": "no.such.path"}])
@pytest.mark.parametrize(("page", "clause"), MORE, ids=[clause for _, clause in MORE])
def test_a_response_that_says_there_is_more_is_not_the_end(
    project: Project, page: dict[str, Any], clause: str, paginator: Any
) -> None:
    with answering(lambda _: page) as url, pytest.raises(MorePagesError) as caught:
        project.load(defs(url, paginator=paginator), "things")
    assert clause in caught.value.more
    assert caught.value.rows == 50
    assert "secret" not in str(caught.value)


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    "page", ENDS, ids=lambda page: ",".join(key for key in page if key != "data") or "rows"
)
def test_a_known_good_end_stays_green(project: Project, page: dict[str, Any]) -> None:
    with answering(lambda _: page) as url:
        assert project.load(defs(url, paginator="single_page"), "things").rows_loaded == 50


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(("headers", "clause"), HEADERS)
def test_a_header_that_says_there_is_more_is_not_the_end(
    project: Project, headers: dict[str, str], clause: str
) -> None:
    with answering(lambda _: Reply(_page(), headers=headers)) as url:
        with pytest.raises(MorePagesError) as caught:
            project.load(defs(url, paginator="single_page"), "things")
        assert clause in caught.value.more
        ignoring = defs(url, paginator="single_page", requests={"ignore_total": True})
        assert project.load(ignoring, "things").rows_loaded == 50


def test_the_shortest_config_of_the_readme_reads_no_part_of_a_table(project: Project) -> None:
    """dlt guesses the paginator, and takes this response for the only page."""
    with answering(lambda _: _page(total=250)) as url:
        with pytest.raises(MorePagesError, match=r"set the `paginator`"):
            project.load(defs(url), "things")
        assert project.load(defs(url, requests={"ignore_total": True}), "things").rows_loaded == 50


def test_a_total_that_is_a_field_of_the_only_object_is_data(project: Project) -> None:
    with answering(lambda _: {"data": {"id": 1, "total": 250}, "total": 9}) as url:
        assert project.load(defs(url, paginator="single_page"), "things").rows_loaded == 1


def test_a_next_that_is_missing_from_page_two_on(project: Project) -> None:
    def reply(asked: Asked) -> Any:
        if asked.params.get("page") == "2":
            return {"data": [{"id": 100}], "total": 250}
        return _page(next="/things?page=2", total=250)

    with answering(reply) as url, pytest.raises(MorePagesError) as caught:
        project.load(defs(url, paginator={"type": "json_link", "next_url_path": "next"}), "things")
    assert (caught.value.more, caught.value.rows) == ("has `total` 250", 51)


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("paginator", "setting"),
    [
        ({"type": "json_link", "next_url_path": "paging.next"}, "next_url_path"),
        ({"type": "cursor", "cursor_path": "paging.next"}, "cursor_path"),
        ({"type": "header_link"}, "links_next_key"),
        ({"type": "header_cursor", "cursor_key": "X-Cursor"}, "cursor_key"),
    ],
)
def test_a_path_that_is_absent_from_the_first_full_page(
    project: Project, paginator: dict[str, Any], setting: str
) -> None:
    """A page with fewer rows than asked for may be the only one, so the API may leave the field out."""
    page: dict[str, Any] = {"data": ROWS, "pages": {"n": 1}}
    with answering(lambda _: page) as url:
        config = defs(url, paginator=paginator, params={"limit": 50})
        with pytest.raises(PagingFieldError) as caught:
            project.load(config, "things")
        assert caught.value.setting == setting
        assert "(it has data, pages)" in str(caught.value)
        page["data"] = ROWS[:49]
        assert project.load(config, "things").rows_loaded == 49


@pytest.mark.parametrize("link", ["", None, False])
def test_a_link_that_is_empty_at_the_end(project: Project, link: Any) -> None:
    with answering(lambda _: _page(next=link)) as url:
        paginator = {"type": "json_link", "next_url_path": "next"}
        assert project.load(defs(url, paginator=paginator), "things").rows_loaded == 50


@pytest.mark.parametrize("rows", [[], ROWS], ids=["empty pages", "the same rows"])
def test_a_fresh_cursor_with_every_page_ends_after_three_pages(project: Project, rows: Any) -> None:
    asked: list[str] = []

    def reply(request: Asked) -> Any:
        asked.append(request.params.get("cursor", ""))
        return {"data": rows if asked[1:] else ROWS, "next": f"c{len(asked)}"}

    with answering(reply) as url:
        config = defs(url, paginator={"type": "cursor", "cursor_path": "next"})
        with pytest.raises(NoNewRowsError) as caught:
            project.load(config, "things")
    assert (caught.value.pages, len(asked)) == (3, 4)
    assert "has_more_path" in str(caught.value)
    assert "stop_after_empty_page" in str(caught.value)


@pytest.mark.parametrize("cursor", [str, int])
@pytest.mark.parametrize("setting", ["has_more_path", "stop_after_empty_page"])
def test_the_advice_for_a_cursor_that_never_ends_works(project: Project, setting: str, cursor: Any) -> None:
    asked: list[str] = []

    def reply(request: Asked) -> Any:
        asked.append(request.params.get("cursor", ""))
        rows = [{"id": len(asked)}] if len(asked) < 3 or setting == "has_more_path" else []
        return {"data": rows, "more": len(asked) < 3, "next": cursor(len(asked))}

    value: Any = "more" if setting == "has_more_path" else True
    paginator = {"type": "cursor", "cursor_path": "next", setting: value}
    with answering(reply) as url:
        loaded = project.load(defs(url, paginator=paginator), "things").rows_loaded
    assert (loaded, len(asked)) == ((3, 3) if setting == "has_more_path" else (2, 3))


def test_empty_pages_between_pages_with_rows(project: Project) -> None:
    """A scan with a filter may return many pages without rows."""

    def reply(asked: Asked) -> Any:
        number = int(asked.params.get("cursor", "0"))
        rows = [ROWS[number]] if number in (0, 6) else []
        return {"data": rows, "next": str(number + 1) if number < 6 else None}

    with answering(reply) as url:
        paginator = {"type": "cursor", "cursor_path": "next"}
        with pytest.raises(NoNewRowsError):
            project.load(defs(url, paginator=paginator), "things")
        patient = defs(url, paginator=paginator, requests={"max_empty_pages": 10})
        assert project.load(patient, "things").rows_loaded == 2


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("POST", {"cursor_body_path": "search_after"}),
        ("GET", {"cursor_body_path": "search_after"}),
        ("POST", {"cursor_param": "after"}),
    ],
)
def test_pages_that_differ_only_in_the_body(project: Project, method: str, place: dict[str, Any]) -> None:
    def reply(asked: Asked) -> Any:
        after = asked.params.get("after") or json.loads(asked.body).get("search_after")
        start = int(after or 0)
        return {"data": ROWS[start : start + 20], "next": start + 20 if start + 20 < 50 else None}

    with answering(reply) as url:
        paginator = {"type": "cursor", "cursor_path": "next", **place}
        config = defs(url, method=method, json={"size": 20}, paginator=paginator)
        assert project.load(config, "things").rows_loaded == 50


def test_equal_pages_by_a_link_header_are_pages(project: Project) -> None:
    """Rows without a key may be equal."""

    def reply(asked: Asked) -> Reply:
        number = int(asked.params.get("page", "1"))
        link = {"Link": f'<{"/things?page="}{number + 1}>; rel="next"'} if number < 3 else {}
        return Reply([{"day": "2026-01-01", "clicks": 0}], headers=link)

    with answering(reply) as url:
        keyless = {"primary_key": None, "columns": None}
        config = defs(url, paginator="header_link", data_selector=None, resource=keyless)
        assert project.load(config, "things").rows_loaded == 3


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("paginator", ["header_link", None], ids=["header_link", "automatic"])
@pytest.mark.parametrize(
    "link",
    [
        '<{}>; crossorigin; rel="next"',
        '<{}&ids=1,2;3>; REL="last next"; title="a=b; c, <d>"',
        '</things>; title="x, y"; rel="first", <{}>; rel="next", </things?page=3>; rel="last"',
        ["</things>; rel=first", "<{}>; rel=next", "</things?page=3>; rel=last"],
    ],
    ids=["no value", "commas", "several", "several headers"],
)
def test_every_valid_link_header_leads_to_the_next_page(project: Project, link: Any, paginator: Any) -> None:
    links = [link] if isinstance(link, str) else link

    def respond(connection: socket.socket, got: Got) -> None:
        number = int(got.params.get("page", "1"))
        headers = [f"Link: {one.format(f'/things?page={number + 1}')}" for one in links] if number < 3 else []
        body = json.dumps({"data": [{"id": number}]})
        head = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
        connection.sendall("\r\n".join([*head, "", body]).encode())

    with raw_server(respond) as url:
        assert project.load(defs(url, paginator=paginator), "things").rows_loaded == 3
        with pytest.raises(MorePagesError):
            project.load(defs(url, paginator="single_page"), "things")


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("after", "more"),
    [
        (Reply({}, 404), {"total": 250}),
        (Reply({}, 404), {"has_more": True}),
        (Reply(b"", 416), {"pages": 5}),
        (Reply(b"", 204), {"total": 250}),
        (Reply({"data": []}), {"meta": {"total": 250}}),
    ],
)
def test_an_end_that_says_nothing_does_not_outweigh_the_page_before(
    project: Project, after: Reply, more: dict[str, Any]
) -> None:
    """The paginator's second page is empty, or does not exist, and the first one says that there are 250 rows."""

    def reply(asked: Asked) -> Any:
        return _page(**more) if asked.params["page"] == "1" else after

    paginator = {"type": "page_number", "base_page": 1, "total_path": None}
    with answering(reply) as url:
        with pytest.raises(MorePagesError) as caught:
            project.load(defs(url, paginator=paginator), "things")
        assert caught.value.rows == 50
        ignoring = defs(url, paginator=paginator, requests={"ignore_total": True})
        assert project.load(ignoring, "things").rows_loaded == 50


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize("rows", [5, 20, 25])
@pytest.mark.parametrize("status", [400, 404])
def test_a_400_after_the_page_that_is_the_last_by_its_headers(
    project: Project, rows: int, status: int
) -> None:
    """WordPress refuses a page after the last one with 400."""

    def reply(asked: Asked) -> Reply:
        start = 10 * int(asked.params["page"]) - 10
        if start >= rows:
            return Reply({"code": "rest_post_invalid_page_number"}, status)
        return Reply(ROWS[start : min(start + 10, rows)], headers={"X-WP-Total": str(rows)})

    with answering(reply) as url:
        paginator = {"type": "page_number", "base_page": 1, "total_path": None}
        config = defs(url, data_selector="$", paginator=paginator)
        assert project.load(config, "things").rows_loaded == rows


def test_a_400_after_a_page_that_says_nothing_names_the_rule_of_the_file(project: Project) -> None:
    def reply(asked: Asked) -> Any:
        return {"data": ROWS} if asked.params["page"] == "1" else Reply({"message": "no such page"}, 400)

    with answering(reply) as url:
        paginator = {"type": "page_number", "base_page": 1, "total_path": None}
        with pytest.raises(SyncHalted) as caught:
            project.load(defs(url, paginator=paginator), "things")
        assert "set requests.responses to `{status: 400, action: empty}`" in caught.value.reason
        rule = {"responses": [{"status": 400, "action": "empty"}]}
        assert project.load(defs(url, paginator=paginator, requests=rule), "things").rows_loaded == 50


@pytest.mark.parametrize("after", [Reply(b"", 204), Reply({"data": []})])
def test_a_last_cursor_that_brings_nothing_does_not_outweigh_the_page_before(
    project: Project, after: Reply
) -> None:
    def reply(asked: Asked) -> Any:
        return after if "cursor" in asked.params else _page(total=250, next="c")

    with answering(reply) as url, pytest.raises(MorePagesError) as caught:
        project.load(defs(url, paginator={"type": "cursor", "cursor_path": "next"}), "things")
    assert (caught.value.more, caught.value.rows) == ("has `total` 250", 50)


def test_a_cursor_that_stays_the_same_after_the_end(project: Project) -> None:
    """Zendesk's incremental exports end with a cursor for the next export."""

    def reply(asked: Asked) -> Any:
        start = int(asked.params.get("cursor", "0"))
        return {
            "data": ROWS[start : start + 20],
            "after": str(min(start + 20, 50)),
            "end_of_stream": start > 20,
        }

    with answering(reply) as url:
        config = defs(url, paginator={"type": "cursor", "cursor_path": "after"})
        assert project.load(config, "things").rows_loaded == 50


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("end", ["", "0", "null"])
def test_a_header_cursor_that_is_empty_at_the_end(project: Project, end: str) -> None:
    """GitLab's `X-Next-Page` is blank on the last page."""

    def reply(asked: Asked) -> Reply:
        page = int(asked.params.get("page") or 1)
        headers = {"X-Next-Page": str(page + 1) if page < 3 else end}
        return Reply({"data": ROWS[20 * page - 20 : 20 * page]}, headers=headers)

    with answering(reply) as url:
        paginator = {"type": "header_cursor", "cursor_key": "X-Next-Page", "cursor_param": "page"}
        assert project.load(defs(url, paginator=paginator), "things").rows_loaded == 50


@pytest.mark.parametrize(
    ("first", "is_right"),
    [
        ({"meta": {"hasMore": False}, "results": ROWS}, False),
        ({"meta": {"hasMore": False}, "results": {"items": ROWS}}, False),
        ({"meta": {"hasMore": False}, "results": []}, True),
        ({"meta": {"hasMore": False}}, True),
    ],
)
def test_a_flag_does_not_excuse_a_wrong_data_selector(
    project: Project, first: dict[str, Any], is_right: bool
) -> None:
    paginator = {"type": "page_number", "total_path": None, "has_more_path": "meta.hasMore"}
    with answering(lambda _: first) as url:
        text = defs(url, paginator=paginator)
        if is_right:
            assert project.load(text, "things").rows_loaded == 0
            return
        with pytest.raises(MissingRowsError) as caught:
            project.load(text, "things")
    assert caught.value.selector == "data"


def test_a_cursor_that_the_api_ignores(project: Project) -> None:
    with answering(lambda _: _page(next="c1")) as url, pytest.raises(SyncHalted) as caught:
        project.load(defs(url, paginator={"type": "cursor", "cursor_path": "next"}), "things")
    assert "the paginator asks for the same page again" in caught.value.reason


def test_the_last_page_may_be_in_another_encoding(project: Project) -> None:
    body = '{"data": [{"id": 1, "name": "é"}]}'.encode("latin-1")
    headers = {"Content-Type": "application/json; charset=latin-1"}
    with answering(lambda _: Reply(body, headers=headers)) as url:
        assert project.load(defs(url, paginator="single_page"), "things").rows_loaded == 1


@pytest.mark.parametrize(
    ("last", "is_complete"),
    [({}, False), ({"next": None}, True), ({"total": 2}, True), ({"has_more": False}, True)],
)
def test_a_total_on_the_first_page_alone_counts(
    project: Project, last: dict[str, Any], *, is_complete: bool
) -> None:
    """Unless the last page says that it is the last: rows may have been deleted meanwhile."""

    def reply(asked: Asked) -> Any:
        if asked.params.get("page") == "2":
            return {"data": [{"id": 2}], **last}
        return {"data": [{"id": 1}], "total": 250, "next": "/things?page=2"}

    with answering(reply) as url:
        config = defs(url, paginator={"type": "json_link", "next_url_path": "next"})
        if is_complete:
            assert project.load(config, "things").rows_loaded == 2
            return
        with pytest.raises(MorePagesError) as caught:
            project.load(config, "things")
    assert "`total` 250" in caught.value.more


ONE_PAGE: list[tuple[str, Any, dict[str, Any]]] = [
    (f"{kind}: {', '.join(beside) or 'nothing beside'}", paginator, beside)
    for kind, paginator in (
        ("offset", {"type": "offset", "limit": 100, "total_path": None}),
        ("offset of full pages", {"type": "offset", "limit": 50, "total_path": None}),
        ("offset without overlap", {"type": "offset", "limit": 50, "total_path": None, "overlap": False}),
        ("page number", {"type": "page_number", "total_path": None}),
        ("link", {"type": "json_link", "next_url_path": "next"}),
        ("cursor", {"type": "cursor", "cursor_path": "next", "cursor_param": "c"}),
    )
    for beside in ({}, {"total": 250}, {"has_more": True}, {"next": "ever new"}, {"next": "/things?c=1"})
    if kind not in ("link", "cursor") or "next" in beside
]


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize(
    ("paginator", "beside"), [one[1:] for one in ONE_PAGE], ids=[one[0] for one in ONE_PAGE]
)
def test_the_error_of_an_endpoint_with_one_page_names_all_settings(
    project: Project, paginator: dict[str, Any], beside: dict[str, Any]
) -> None:
    """The endpoint ignores every parameter. What the sentence names is set at once, and the next sync is green."""
    asked: list[Asked] = []

    def reply(one: Asked) -> Any:
        asked.append(one)
        new = {"next": f"/things?c={len(asked)}"} if beside.get("next") == "ever new" else {}
        return {"data": ROWS, **beside, **new}

    overlap = paginator.get("overlap", True)
    paginator = {key: value for key, value in paginator.items() if key != "overlap"}
    with answering(reply) as url:
        with pytest.raises(SyncError) as caught:
            project.load(defs(url, paginator=paginator, requests={"page_overlap": overlap}), "things")
        error = caught.value
        assert isinstance(error, (SamePageError, NoNewRowsError, SyncHalted))
        assert error.fault is not Fault.TRANSIENT
        text = str(error)
        assert "set `paginator: single_page`" in text
        assert "?." not in text
        accepted = "assets.things.ignore_total: true" in text
        asset = {"ignore_total": True} if accepted else {}
        assert project.load(defs(url, paginator="single_page", asset=asset), "things").rows_loaded == 50
        if accepted:
            with pytest.raises(MorePagesError):
                project.load(defs(url, paginator="single_page"), "things")


@pytest.mark.parametrize("path", ["total", "all.count"])
def test_a_total_of_other_rows_is_left_out_in_one_go(project: Project, path: str) -> None:
    """The pages end before the total, in each attempt. Two settings name the same total."""

    def reply(asked: Asked) -> Any:
        offset = int(asked.params["offset"])
        return {"data": ROWS[offset : offset + 20], "total": 250, "all": {"count": 250}}

    paginator = {"type": "offset", "limit": 20, "total_path": path}
    with answering(reply) as url:
        with pytest.raises(RowsMovedError) as caught:
            project.load(defs(url, paginator=paginator), "things")
        assert caught.value.fault is Fault.CONFIG
        assert "set the paginator's total_path to null, and assets.things.ignore_total" in str(caught.value)
        asset = {"ignore_total": True}
        text = defs(url, paginator={**paginator, "total_path": None}, asset=asset)
        assert project.load(text, "things").rows_loaded == 50


@pytest.mark.parametrize(
    ("asset", "requests", "accepts"),
    [
        ({}, {}, False),
        ({}, {"ignore_total": True}, True),
        ({"ignore_total": True}, {}, True),
        ({"ignore_total": False}, {"ignore_total": True}, False),
        ({"ignore_total": True}, {"ignore_total": False}, True),
    ],
    ids=str,
)
def test_a_total_is_ignored_for_one_resource_or_for_all(
    project: Project, asset: dict[str, Any], requests: dict[str, Any], *, accepts: bool
) -> None:
    with answering(lambda _: _page(total=250)) as url:
        text = defs(url, paginator="single_page", asset=asset, requests=requests)
        if accepts:
            assert project.load(text, "things").rows_loaded == 50
            return
        with pytest.raises(MorePagesError) as caught:
            project.load(text, "things")
    assert "assets.things.ignore_total: true" in str(caught.value)
