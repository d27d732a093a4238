"""Path parameters: the id of a parent is one segment of the path, whatever it contains."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from analytics_assets.ingestion.errors import SyncError
from analytics_assets_tests.answering import Asked, Reply, answering
from analytics_assets_tests.conftest import Project
from analytics_assets_tests.real_api import defs

PARENT = {
    "name": "shops",
    "selected": False,
    "endpoint": {"path": "v1/shops", "paginator": "single_page", "data_selector": "data"},
}
OF_SHOP = "v1/shops/{resources.shops.id}/items"
RESOLVED = {"shop": {"type": "resolve", "resource": "shops", "field": "id"}}


def paths_of(
    project: Project, *ids: Any, path: str = "v1/shops/{resources.shops.id}/items", **endpoint: Any
) -> list[str]:
    """The paths of the requests for the children of parents with these ids, as they are on the wire."""
    asked_paths: list[str] = []

    def reply(asked: Asked) -> Any:
        if asked.path == "/v1/shops":
            return {"data": [{"id": one, "key": {"a b": one}} for one in ids]}
        asked_paths.append(asked.path)
        return Reply({"data": [{"id": len(asked_paths)}]})

    with answering(reply) as url:
        project.load(
            defs(
                url,
                parents=(PARENT,),
                resource={"include_from_parent": ["id"]},
                path=path,
                paginator="single_page",
                **endpoint,
            ),
            "things",
        )
    return asked_paths


IDS = ["a/b", "a?b", "a#b", "../secret", "%2F", "%2e%2e", "é ü", "日本", "a b", "a+b", "a&b=c", "a;b", "..a", "...x",
       "\\..\\", 7, 1.5, "a:b", "a@b", "{a}", "{{a}}", "{resources.shops.id}", "a%"]  # fmt: skip


def test_an_id_is_one_segment(project: Project) -> None:
    asked = paths_of(project, *IDS)  # side by side, so in any order
    assert sorted(asked) == sorted(f"/v1/shops/{quote(str(one), safe='')}/items" for one in IDS)
    rows = project.query("SELECT _shops_id AS shop FROM api.things")
    assert sorted(one["shop"] for one in rows) == sorted(map(str, IDS))


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("path", "endpoint", "asked"),
    [
        ("v1/shops/{resources.shops.id}", {}, "/v1/shops/a%2Fb"),
        ("v1/shops/{resources.shops.key['a b']}", {}, "/v1/shops/a%2Fb"),
        ("v1/shops/{shop}/items", {"params": RESOLVED}, "/v1/shops/a%2Fb/items"),
        ("v1/{shop}/{shop}/items", {"params": RESOLVED}, "/v1/a%2Fb/a%2Fb/items"),
        ("v1/{resources.shops.id}/{resources.shops.id}", {}, "/v1/a%2Fb/a%2Fb"),
        ("v1/x-{resources.shops.id}-y/items", {}, "/v1/x-a%2Fb-y/items"),
        ("{resources.shops.id}/items", {}, "/a%2Fb/items"),
        ("{resources.shops.id}", {}, "/a%2Fb"),
        ("v1/{{x}}/{resources.shops.id}", {}, "/v1/%7Bx%7D/a%2Fb"),
        ("v1/{kind}/{resources.shops.id}", {"params": {"kind": "big/one"}}, "/v1/big/one/a%2Fb"),
    ],
)
def test_any_place_of_the_path(project: Project, path: str, endpoint: dict[str, Any], asked: str) -> None:
    raw = "{% raw %}" + path + "{% endraw %}" if "{{" in path else path
    assert paths_of(project, "a/b", path=raw, **endpoint) == [asked]


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize("id_", ["..", ".", "", None, ["a"], {"b": 1}])
def test_an_id_that_would_ask_another_endpoint_fails(project: Project, id_: Any) -> None:
    with pytest.raises(SyncError) as caught:
        paths_of(project, "fine", id_)
    assert (caught.value.code, caught.value.resource) == ("unfit_path_value", "things")
    assert caught.value.facts()["parent"] == "shops"


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("path", "id_", "fails"),
    [
        ("v1/{resources.shops.id}.json", "..", False),
        ("v1/x{resources.shops.id}", "..", False),
        ("v1/.{resources.shops.id}", ".", True),
        ("v1/{resources.shops.id}{resources.shops.id}", ".", True),
        ("v1/{resources.shops.id}", "...", True),
        ("{resources.shops.id}/items", "..", True),
    ],
)
def test_dots_fail_only_where_they_are_the_whole_segment(
    project: Project, path: str, id_: str, fails: bool
) -> None:
    if fails:
        with pytest.raises(SyncError) as caught:
            paths_of(project, id_, path=path)
        assert caught.value.code == "unfit_path_value"
    else:
        assert paths_of(project, id_, path=path) == ["/" + path.replace("{resources.shops.id}", id_)]


def test_params_json_and_headers_get_the_value_as_it_is(project: Project) -> None:
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        if asked.path == "/v1/shops":
            return {"data": [{"id": "a/b?c"}]}
        seen.append(asked)
        return {"data": [{"id": 1}]}

    of_shop = "{resources.shops.id}"
    with answering(reply) as url:
        text = defs(
            url,
            parents=(PARENT,),
            path="v1/items",
            params={"shop": of_shop},
            headers={"X-Shop": of_shop},
            method="POST",
            json={"shop": of_shop},
            paginator="single_page",
        )
        project.load(text, "things")
    assert (seen[0].params["shop"], seen[0].headers["x-shop"]) == ("a/b?c", "a/b?c")
    assert seen[0].body == b'{"shop": "a/b?c"}'


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(
    ("link", "outcome"),
    [
        ("/v1/items?a=1", ["/v1/items"]),
        ("{url}/v1/items", ["/v1/items"]),
        ("http://localhost:1/v1/items", "foreign_origin"),
        ("/v1/../secret", "unfit_path_value"),
    ],
)
def test_a_path_that_is_one_field_may_be_a_link_of_the_api(project: Project, link: str, outcome: Any) -> None:
    asked_paths: list[str] = []
    links: list[str] = []

    def reply(asked: Asked) -> Any:
        if asked.path == "/v1/shops":
            return {"data": [{"id": one} for one in links]}
        asked_paths.append(asked.path)
        return {"data": [{"id": 1}]}

    with answering(reply) as url:
        links.append(link.replace("{url}", url))
        text = defs(url, parents=(PARENT,), path="{resources.shops.id}", paginator="single_page")
        if isinstance(outcome, list):
            project.load(text, "things")
            assert asked_paths == outcome
        else:
            with pytest.raises(SyncError) as caught:
                project.load(text, "things")
            assert caught.value.code == outcome
            assert asked_paths == []
