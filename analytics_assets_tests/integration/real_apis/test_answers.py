"""Success responses that are no answer: a table is never replaced by an error, a promise, or a guess."""

from __future__ import annotations

from typing import Any

import pytest

from analytics_assets.ingestion.errors import (
    AmbiguousRowsError,
    ErrorAnswerError,
    MissingRowsError,
    ObjectAfterListsError,
    PagingFieldError,
    SyncError,
    SyncHalted,
)
from analytics_assets.ingestion.http.list_memory import ListMemory
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs

GUESSED: dict[str, Any] = {"data_selector": None, "paginator": "single_page"}
"""An endpoint whose rows dlt finds itself."""


def refused(project: Project, content: Any, status: int = 200, **endpoint: Any) -> SyncError:
    """Returns the error of a sync that gets `content` after a sync of one row, which stays in the table."""
    replies: list[Reply] = [Reply([{"id": 1}] if endpoint == GUESSED else {"data": [{"id": 1}], "total": 1})]
    with answering(lambda _: replies[-1]) as url:
        config = defs(url, **endpoint)
        project.load(config, "things")
        replies.append(content if isinstance(content, Reply) else Reply(content, status))
        with pytest.raises(SyncError) as caught:
            project.load(config, "things")
    assert project.query("SELECT id FROM api.things") == [{"id": 1}]
    return caught.value


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize("endpoint", [{"paginator": "single_page"}, GUESSED], ids=["selected", "guessed"])
@pytest.mark.parametrize(
    ("status", "content"),
    [(202, {}), (202, []), (202, {"status": "pending"}), (206, {"data": []}), (206, [])],
)
def test_a_status_without_data(project: Project, status: int, content: Any, endpoint: dict[str, Any]) -> None:
    error = refused(project, content, status, **endpoint)
    assert isinstance(error, SyncHalted)
    assert (error.status, error.attempts, error.outage) == (status, 1, False)
    assert f"set requests.responses to `{{status: {status}, action: retry}}`" in error.reason


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    "endpoint",
    [
        {"paginator": "single_page"},
        GUESSED,
        {"data_selector": "data[*]", "paginator": "single_page"},
        {"data_selector": "$.data[*]", "paginator": {"type": "offset", "limit": 10}},
        {"data_selector": "$..data", "paginator": "single_page"},
        {"paginator": {"type": "offset", "limit": 10}},
        {"paginator": {"type": "page_number", "total_path": "total"}},
    ],
    ids=["selected", "guessed", "wildcard", "wildcard offset", "descendants", "offset", "page number"],
)
@pytest.mark.parametrize(
    ("content", "member"),
    [
        ({"error": "rate limited"}, "error"),
        ({"error": {"code": 7, "message": "rate limited"}}, "error"),
        ({"errors": [{"message": "rate limited"}]}, "errors"),
        ({"data": None, "errors": [{"message": "rate limited"}]}, "errors"),
        ({"result": "error", "message": "rate limited"}, "result"),
        ({"status": "error", "message": "rate limited"}, "status"),
        ({"ok": False, "message": "rate limited"}, "ok"),
        ({"success": False, "message": "rate limited"}, "success"),
    ],
)
def test_an_error_with_status_200(
    project: Project, endpoint: dict[str, Any], content: Any, member: str
) -> None:
    error = refused(project, content, **endpoint)
    assert isinstance(error, ErrorAnswerError)
    assert (error.member, error.words) == (member, "rate limited")


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("content", "member"),
    [
        ({"success": "false", "data": []}, "success"),
        ({"Success": False, "data": []}, "Success"),
        ({"Error": "rate limited", "data": []}, "Error"),
        ({"isSuccess": False, "data": []}, "isSuccess"),
        ({"status": 429, "data": []}, "status"),
        ({"statusCode": 500, "data": []}, "statusCode"),
        ({"code": 40100, "message": "Too many requests.", "data": []}, "code"),  # TikTok
        ({"code": 0, "message": "OK", "data": []}, None),
        ({"error": {"code": 0, "message": ""}, "data": []}, None),
        ({"error": {"code": "ok", "message": "", "log_id": "7"}, "data": []}, None),  # TikTok
        ({"error": "Success", "data": []}, None),
        ({"status": 200, "success": True, "errors": {}, "data": []}, None),
    ],
)
def test_an_empty_list_beside_an_error(project: Project, content: Any, member: str | None) -> None:
    if member:
        error = refused(project, content, paginator="single_page")
        assert isinstance(error, ErrorAnswerError)
        assert error.member == member
    else:
        with answering(lambda _: content) as url:
            assert project.load(defs(url, paginator="single_page"), "things").rows_loaded == 0


def test_a_code_that_means_no_rows_has_a_rule_in_the_file(project: Project) -> None:
    requests = {"responses": [{"body": {"code": 1001}, "action": "empty"}]}
    answer = {"code": 1001, "message": "Account without campaigns", "data": {"list": []}}
    endpoint: dict[str, Any] = {"data_selector": "data.list", "paginator": "single_page"}
    with answering(lambda _: answer) as url:
        with pytest.raises(ErrorAnswerError) as caught:
            project.load(defs(url, **endpoint), "things")
        assert (caught.value.member, caught.value.words) == ("code", "Account without campaigns")
        assert project.load(defs(url, requests=requests, **endpoint), "things").rows_loaded == 0


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("selector", "content", "found"),
    [
        ("data[*]", {"message": "hi"}, "nothing"),
        ("data.items[*]", {"data": {}}, "nothing"),
        ("data[*]", {"data": None}, "null"),
        ("data[?(@.id > 1)]", {"rows": []}, "nothing"),
        ("data.*", {}, "nothing"),
        ("$..rows", {"data": []}, "nothing"),
        ("data", {"data": None}, "null"),
        ("data", {}, "nothing"),
        ("data", [], "nothing"),
    ],
)
def test_rows_that_are_not_there(project: Project, selector: str, content: Any, found: str) -> None:
    with answering(lambda _: content) as url:
        config = defs(url, data_selector=selector, paginator="single_page")
        with pytest.raises(MissingRowsError) as caught:
            project.load(config, "things")
        assert caught.value.found == found
        meaning = None if found == "null" else "absent"
        assert f"assets.things.empty_answer: {meaning or 'null'}" in str(caught.value)
        assert "[*]`." not in str(caught.value)
        lenient = defs(url, data_selector=selector, paginator="single_page", asset={"empty_answer": meaning})
        assert project.load(lenient, "things").rows_loaded == 0


def test_a_wildcard_needs_the_total_that_the_file_names(project: Project) -> None:
    paginator = {"type": "offset", "limit": 10, "total_path": "total"}
    with answering(lambda _: {"data": []}) as url, pytest.raises(PagingFieldError):
        project.load(defs(url, data_selector="data[*]", paginator=paginator), "things")


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    "content",
    [
        {"data": None, "next": None},
        {"data": None, "total": 0},
        {"data": None, "has_more": False},
        {"data": None, "meta": {"next_cursor": ""}},
    ],
)
def test_null_is_an_empty_page_if_the_response_says_that_it_is_the_end(
    project: Project, content: Any
) -> None:
    with answering(lambda _: content) as url:
        assert project.load(defs(url, paginator="single_page"), "things").rows_loaded == 0


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    "paginator", ["single_page", {"type": "offset", "limit": 10}, {"type": "page_number"}]
)
@pytest.mark.parametrize("status", [204, 205])
def test_no_content_is_an_empty_page(project: Project, status: int, paginator: Any) -> None:
    with answering(lambda _: Reply(b"", status)) as url:
        assert project.load(defs(url, paginator=paginator), "things").rows_loaded == 0


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize(
    ("content", "candidates"),
    [
        ({"errors": [], "orders": [{"id": 1}]}, ("errors", "orders")),
        ({"data": [{"id": 1}], "included": [{"id": 2}]}, ("data", "included")),
        ({"data": {"items": [{"id": 1}], "tags": []}}, ("data.items", "data.tags")),
        ({"warnings": [], "data": {"items": [{"id": 1}]}}, ("warnings", "data.items")),
        ({"meta": {"tags": []}, "orders": [{"id": 1}]}, ("orders", "meta.tags")),
        ({"id": 1, "tags": ["a", "b"]}, ("tags", "$")),
        ({"order": {"id": 1, "lines": [{"n": 1}]}}, ("order.lines", "order")),
    ],
)
def test_rows_that_could_be_two_things(project: Project, content: Any, candidates: tuple[str, ...]) -> None:
    with answering(lambda _: content) as url, pytest.raises(AmbiguousRowsError) as caught:
        project.load(defs(url, **GUESSED), "things")
    assert caught.value.candidates == candidates


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    "content",
    [
        [{"id": 1}],
        {"data": [{"id": 1}]},
        {"count": 1, "result": {"orders": [{"id": 1}]}},
        {"id": 1},
    ],
)
def test_rows_that_are_clear_without_a_selector(project: Project, content: Any) -> None:
    with answering(lambda _: content) as url:
        project.load(defs(url, **GUESSED), "things")
    assert project.query("SELECT id FROM api.things") == [{"id": 1}]


def test_an_object_where_lists_came_before(project: Project) -> None:
    def reply(asked: Asked) -> Any:
        if asked.params.get("cursor"):
            return {"data": {"id": 3}, "next": None}
        return {"data": [{"id": 1}, {"id": 2}], "next": "c"}

    with answering(reply) as url:
        paginator = {"type": "cursor", "cursor_path": "next"}
        with pytest.raises(SyncError) as caught:
            project.load(defs(url, paginator=paginator), "things")
        assert caught.value.code == "rows_not_a_list"
        assert "assets.things.one_object: true" in str(caught.value)
        config = defs(url, paginator=paginator, asset={"one_object": True})
        assert project.load(config, "things").rows_loaded == 3


BARE = {"primary_key": None, "columns": None}


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("first", "second", "endpoint"),
    [
        ([{"n": 1}], {"result": "fine"}, GUESSED),
        ({"items": [{"n": 1, "status": "sold"}]}, {"status": "pending"}, GUESSED),
        ([], {"result": "fine"}, GUESSED),
        ([{"n": 1}], {"job": {"state": "queued"}}, GUESSED),
        ({"data": [{"n": 1}]}, {"data": {"status": "pending"}}, {"paginator": "single_page"}),
        ([{"n": 1}], {}, GUESSED),
    ],
)
@pytest.mark.parametrize("resource", [BARE, {"primary_key": None}, {}], ids=["bare", "columns", "key"])
def test_an_object_where_an_earlier_sync_had_lists(
    project: Project, first: Any, second: Any, endpoint: Any, resource: Any
) -> None:
    replies = [first]
    with answering(lambda _: replies[-1]) as url:
        config = defs(url, resource=resource, asset={"max_quarantined": "100%"}, **endpoint)
        rows = project.load(config, "things").row_count
        for _ in range(2):  # a failed sync forgets nothing
            replies.append(second)
            with pytest.raises(SyncError) as caught:
                project.load(config, "things")
            assert isinstance(caught.value, ObjectAfterListsError)
            assert "an object where lists came before" in str(caught.value)
            assert "assets.things.one_object: true" in str(caught.value)
        if rows:
            assert project.query("SELECT count(*) AS rows FROM api.things") == [{"rows": rows}]
        accepts = {"one_object": True, "max_quarantined": "100%"}
        for one in (resource, BARE):
            if rows and second:  # without its key, the object goes to quarantine
                count = int("primary_key" in one)
                lenient = defs(url, resource=one, asset={**accepts, "allow_empty": True}, **endpoint)
                assert project.load(lenient, "things").row_count == count


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("first", "second", "is_refused"),
    [
        ([{"n": 1}], {"status": "pending"}, True),
        ([{"user": {"name": "a"}}], {"status": "pending"}, True),
        ([{"lines": [{"n": 1}]}], {"status": "pending"}, True),
        (
            [{"n": 1, "status": "sold"}],
            {"status": "pending"},
            False,
        ),  # may be a row: nobody knows that lists came
        ([{"user": {"name": "a"}}], {"user": None, "x": 1}, False),
        ([{"lines": [{"n": 1}]}], {"lines": []}, False),
        ([{"orderId": 1}], {"order_id": 2}, False),
        ([], {"status": "pending"}, False),
    ],
)
@pytest.mark.parametrize("endpoint", [GUESSED, {"data_selector": "$", "paginator": "single_page"}])
def test_an_object_where_a_version_without_the_note_loaded_rows(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    first: Any,
    second: Any,
    is_refused: bool,
    endpoint: Any,
) -> None:
    replies = [first]
    with answering(lambda _: replies[-1]) as url:
        config = defs(url, resource=BARE, asset={"allow_empty": True}, **endpoint)
        with monkeypatch.context() as patch:
            patch.setattr(ListMemory, "remember", lambda _: None)
            patch.setattr(ListMemory, "remember_object", lambda _: None)
            project.load(config, "things")
        replies.append(second)
        if not is_refused:
            project.load(config, "things")
            return
        with pytest.raises(ObjectAfterListsError) as caught:
            project.load(config, "things")
        assert "an object where rows with other fields came before (it has status)" in str(caught.value)
        lenient = defs(url, resource=BARE, asset={"one_object": True}, **endpoint)
        assert project.load(lenient, "things").rows_loaded == 1


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize(
    ("first", "second", "resource"),
    [
        ([{"id": 1}, {"id": 2}], {"id": 3}, {}),  # one row in place of a list of one, with a known field
        ({"temperature": 3}, {"humidity": 4}, BARE),  # always an object
    ],
)
def test_an_object_that_is_a_row(project: Project, first: Any, second: Any, resource: Any) -> None:
    replies = [first]
    with answering(lambda _: replies[-1]) as url:
        config = defs(url, resource=resource, **GUESSED)
        project.load(config, "things")
        replies.append(second)
        assert project.load(config, "things").row_count == 1


def test_an_object_with_a_renamed_key_is_a_row(project: Project) -> None:
    resource = {"primary_key": "article", "columns": {"article": {"data_type": "bigint"}}}
    with answering(lambda _: {"sku": 7}) as url:
        config = defs(url, resource=resource, asset={"rename": {"sku": "article"}}, **GUESSED)
        project.load(config, "things")
    assert project.query("SELECT article FROM api.things") == [{"article": 7}]


@pytest.mark.matrix(keep=0)
def test_a_full_refresh_and_another_parent_remember_the_lists(project: Project) -> None:
    replies: dict[str, Any] = {"1": [{"n": 1, "at": 1}], "2": [{"n": 2, "at": 2}]}

    def reply(asked: Asked) -> Any:
        return {"data": [{"id": 1}, {"id": 2}]} if asked.path == "/shops" else replies[asked.path[-1]]

    shops = {"path": "shops", "data_selector": "data", "paginator": "single_page"}
    with answering(reply) as url:
        config = defs(
            url,
            path="things/{resources.shops.id}",
            parents=({"name": "shops", "endpoint": shops},),
            resource={**BARE, "write_disposition": "append"},
            incremental={"cursor_path": "at", "on_cursor_value_missing": "include"},
            **GUESSED,
        )
        replies["2"] = {"result": "fine"}
        with pytest.raises(ObjectAfterListsError):
            project.load(config, "things")
        replies["2"] = []
        project.load(config, "things")
        replies["1"] = {"result": "fine"}
        with pytest.raises(ObjectAfterListsError):
            project.load(config, "things", full_refresh=True)


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("rule", "content", "status", "headers"),
    [
        ({"status": 202}, {}, 202, {}),
        ({"body": {"status": "pending"}}, {"status": "pending"}, 200, {}),
        ({"body": {"job.state": 1, "error": None}}, {"job": {"state": 1}}, 200, {}),
        ({"body": {"error": "*"}}, {"error": {"code": 7}}, 200, {}),
        ({"text": "SLOW DOWN"}, b"<html>slow down</html>", 200, {}),
        ({"header": {"x-throttled": "*"}}, {"data": []}, 200, {"X-Throttled": "1"}),
        ({"status": 409, "text": "busy"}, {"message": "busy"}, 409, {}),
    ],
)
@pytest.mark.parametrize("paginator", ["single_page", {"type": "offset", "limit": 10, "total_path": None}])
def test_a_rule_of_the_file_retries_a_response(
    project: Project, rule: Any, content: Any, status: int, headers: dict[str, str], paginator: Any
) -> None:
    asked: list[Asked] = []
    good = 3

    def reply(request: Asked) -> Any:
        asked.append(request)
        if len(asked) < good:
            return Reply(content, status, headers)
        return {"data": [{"id": 1}] if len(asked) == good else []}

    with answering(reply) as url:
        config = defs(
            url, paginator=paginator, requests={"responses": [{**rule, "action": "retry"}], "max_retries": 2}
        )
        assert project.load(config, "things").rows_loaded == 1
        asked.clear()
        good = 99
        with pytest.raises(SyncHalted) as caught:
            project.load(config, "things")
    assert (caught.value.attempts, caught.value.outage) == (3, True)


@pytest.mark.parametrize(
    "paginator", ["single_page", {"type": "offset", "limit": 10}, {"type": "page_number"}]
)
def test_a_rule_of_the_file_takes_a_response_for_an_empty_page(project: Project, paginator: Any) -> None:
    with answering(lambda _: Reply({"message": "No records found"}, 404)) as url:
        rule = {"status": 404, "text": "no records", "action": "empty"}
        config = defs(url, paginator=paginator, requests={"responses": [rule]})
        assert project.load(config, "things").rows_loaded == 0


def test_a_rule_of_the_file_ends_the_sync_at_once(project: Project) -> None:
    with answering(lambda _: {"data": [], "warning": "quota"}) as url:
        rule = {"body": {"warning": "quota"}, "action": "fail"}
        with pytest.raises(SyncHalted) as caught:
            project.load(defs(url, paginator="single_page", requests={"responses": [rule]}), "things")
    assert (caught.value.status, caught.value.attempts, caught.value.outage) == (200, 1, False)


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"message": "Unknown filter"}, "Unknown filter"),
        ({"error": {"message": "Unknown filter"}}, "Unknown filter"),
        ({"errors": [{"detail": "Unknown filter"}]}, "Unknown filter"),
        ({"error_description": "Unknown filter", "error": "invalid"}, "Unknown filter"),
        ({"message": "x" * 500}, "x" * 199 + "…"),
    ],
)
def test_the_apis_own_words_are_in_the_error(project: Project, content: Any, words: str) -> None:
    with answering(lambda _: Reply(content, 400)) as url, pytest.raises(SyncHalted) as caught:
        project.load(defs(url, paginator="single_page"), "things")
    assert caught.value.reason == f"400 Bad Request; the API says: {words}"


def test_a_403_with_a_rate_limit_is_a_rate_limit(project: Project) -> None:
    asked: list[Asked] = []

    def reply(request: Asked) -> Any:
        asked.append(request)
        limited = Reply({}, 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"})
        return limited if len(asked) == 1 else {"data": [{"id": 1}]}

    with answering(reply) as url:
        assert project.load(defs(url, paginator="single_page"), "things").rows_loaded == 1
