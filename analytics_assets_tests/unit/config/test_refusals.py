"""What dlt refuses, ignores, or fails for in each run: the file is refused at the key, with what to write instead.

One line is one mistake: where it is in the file, what is written there, and the sentence. The error is at the place of
the mistake, unless the line says where else. `GOOD` lists what looks like a mistake and is none.
"""

from __future__ import annotations

import copy
from datetime import date
from typing import Any

import pytest
from dlt.sources.helpers.rest_client.auth import APIKeyAuth
from dlt.sources.helpers.rest_client.paginators import OffsetPaginator
from pydantic import ValidationError

from analytics_assets import RestApiSync

Place = tuple[str | int, ...]

CLIENT: Place = ("rest_api", "client")
DEFAULTS: Place = ("rest_api", "resource_defaults")
ORDERS: Place = ("rest_api", "resources", 0)
ENDPOINT: Place = (*ORDERS, "endpoint")
SHOPS: Place = ("rest_api", "resources", 1)

FILE: dict[str, Any] = {
    "name": "api",
    "rest_api": {
        "client": {"base_url": "https://api.example.com"},
        "resource_defaults": {},
        "resources": [
            {
                "name": "orders",
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {"path": "orders"},
                "columns": {"id": {"data_type": "bigint"}},
            },
            {"name": "shops", "endpoint": {"path": "shops"}},
        ],
    },
    "assets": {"orders": {}},
}


def written(place: Place, value: Any) -> dict[str, Any]:
    """The file with the value at `place`."""
    attributes = copy.deepcopy(FILE)
    holder: Any = attributes
    for part in place[:-1]:
        holder = holder[part] if isinstance(part, int) else holder.setdefault(part, {})
    holder[place[-1]] = value
    return attributes


def refused(attributes: dict[str, Any]) -> tuple[Place, str]:
    """The place and the sentence of the only error."""
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**attributes)
    [error] = caught.value.errors()
    message = error["msg"].removeprefix("Value error, ")
    assert "\n" not in message
    assert not message.startswith(("dlt cannot build", "dlt refuses"))
    return error["loc"], message


def offset(**more: Any) -> dict[str, Any]:
    return {"type": "offset", "limit": 10, **more}


def cursor(**more: Any) -> dict[str, Any]:
    return {"cursor_path": "at", **more}


PAGINATORS = [
    # A parameter of another paginator, a missing one, and values that cannot work.
    ((*ENDPOINT, "paginator"), {"type": "page_number", "limit": 9}, "limit", "orders: the paginator `page_number` has no key `limit`, which belongs to `offset`. The keys here are base_page, page, page_param, total_path, maximum_page, stop_after_empty_page, has_more_path, page_body_path. Change `type`, or remove `limit`; if the API takes it, write it in `endpoint.params`."),
    ((*CLIENT, "paginator"), {"type": "page_number", "limit": 9}, "limit", "the paginator `page_number` has no key `limit`"),
    ((*DEFAULTS, "endpoint", "paginator"), {"type": "page_number", "limit": 9}, "limit", "has no key `limit`"),
    ((*ENDPOINT, "paginator"), {"type": "cursor", "cursor_path": "n", "total_path": "t"}, "total_path", "`total_path`, which belongs to `offset`, `page_number`"),
    ((*ENDPOINT, "paginator"), {"type": "header_link", "next_url_path": "n"}, "next_url_path", "which belongs to `json_link`. The keys here are links_next_key."),
    ((*ENDPOINT, "paginator"), {"type": "single_page", "limit": 1}, "limit", "The keys here are no key but `type`."),
    ((*ENDPOINT, "paginator"), {"type": "offset"}, "", "orders: the paginator `offset` needs `limit`. Write `{type: offset, limit: …}`."),
    ((*ENDPOINT, "paginator"), "offset", "", "orders: the paginator `offset` needs `limit`."),
    ((*CLIENT, "paginator"), "offset", "", "the paginator `offset` needs `limit`."),
    ((*ENDPOINT, "paginator"), {"type": "offst", "limit": 1}, "type", "`type` is `offst`, and dlt knows only json_link"),
    ((*ENDPOINT, "paginator"), "ofset", "", "orders: `paginator` is `ofset`, and dlt knows only json_link"),
    ((*ENDPOINT, "paginator"), {"limit": 1}, "", "required keys are missing: 'type'. Add them."),
    ((*ENDPOINT, "paginator"), 5, "", "orders: `paginator` is `5`. Write one of json_link"),
    ((*ENDPOINT, "paginator"), ["offset"], "", "`paginator` is a list. Write one of"),
    ((*ENDPOINT, "paginator"), offset(limit=-1), "limit", "orders: `limit` is -1. Write a whole number from 1 on."),
    ((*ENDPOINT, "paginator"), offset(limit=0), "limit", "`limit` is 0. Write a whole number from 1 on."),
    ((*ENDPOINT, "paginator"), offset(limit="ten"), "limit", "orders: `limit` is `ten`, which is text. Write a whole number, without quotes."),
    ((*ENDPOINT, "paginator"), offset(limit=True), "limit", "`limit` is `true`. Write a whole number."),
    ((*ENDPOINT, "paginator"), offset(limit=1.5), "limit", "`limit` is `1.5`. Write a whole number."),
    ((*ENDPOINT, "paginator"), offset(limit=None), "limit", "`limit` is empty. Write a whole number, or remove the key."),
    ((*ENDPOINT, "paginator"), offset(offset=-1), "offset", "`offset` is -1. Write a whole number from 0 on."),
    ((*ENDPOINT, "paginator"), offset(maximum_offset=-1), "maximum_offset", "from 0 on"),
    ((*ENDPOINT, "paginator"), {"type": "page_number", "maximum_page": -1}, "maximum_page", "from 0 on"),
    ((*ENDPOINT, "paginator"), {"type": "page_number", "base_page": -1}, "base_page", "from 0 on"),
    ((*ENDPOINT, "paginator"), offset(total_path=5), "total_path", "`total_path` is `5`. Write text, in quotes."),
    ((*ENDPOINT, "paginator"), offset(stop_after_empty_page="yes"), "stop_after_empty_page", "Write true or false, without quotes."),
    ((*ENDPOINT, "paginator"), offset(total_path=None, stop_after_empty_page=False), "", "the paginator `offset` cannot work: One of `total_path`"),
    ((*ENDPOINT, "paginator"), {"type": "page_number", "page_param": "p", "page_body_path": "q"}, "", "must be provided, not both."),
    ((*ENDPOINT, "paginator"), {"type": "cursor", "cursor_param": "p", "cursor_body_path": "q"}, "", "must be provided, not both."),
    ((*ENDPOINT, "paginator"), {"type": "json_link", "next_url_path": "a["}, "next_url_path", "orders: paginator.next_url_path `a[` is no JSONPath."),
    ((*ENDPOINT, "paginator"), offset(total_path="a["), "total_path", "paginator.total_path `a[` is no JSONPath."),
    ((*ENDPOINT, "paginator"), offset(has_more_path="a["), "has_more_path", "paginator.has_more_path `a[` is no JSONPath."),
    ((*ENDPOINT, "paginator"), {"type": "cursor", "cursor_path": "a["}, "cursor_path", "paginator.cursor_path `a[` is no JSONPath."),
    ((*CLIENT, "paginator"), offset(total_path="a["), "total_path", "paginator.total_path `a[` is no JSONPath."),
    ((*DEFAULTS, "endpoint", "paginator"), offset(total_path="a["), "total_path", "orders: paginator.total_path `a[`"),
]  # fmt: skip

AUTHS = [
    ((*CLIENT, "auth"), {"type": "basic"}, "type", "`type` is `basic`, and dlt knows only bearer, api_key, http_basic, oauth2_client_credentials. Did you mean `http_basic`?"),
    ((*CLIENT, "auth"), "barer", "", "`auth` is text, and dlt knows only bearer"),
    ((*CLIENT, "auth"), ["bearer"], "", "`auth` is a list. Write one of bearer"),
    ((*CLIENT, "auth"), {"type": ["bearer"]}, "type", "`type` is a list. Write one of bearer"),
    ((*CLIENT, "auth"), {"type": "api_key", "name": "k", "location": "cookie"}, "location", "dlt cannot send a key as a cookie. Write `location: header` and `name: Cookie`, and set the secret to `<name of the cookie>=<key>`."),
    ((*ENDPOINT, "auth"), {"type": "api_key", "location": "cookie"}, "location", "orders: dlt cannot send a key as a cookie."),
    ((*CLIENT, "auth"), {"type": "api_key", "location": "body"}, "location", "`location` is `body`, and dlt knows only header, cookie, query, param."),
    ((*CLIENT, "auth"), {"type": "bearer", "location": "header"}, "location", "the auth `bearer` has no key `location`, which belongs to `api_key`. The keys here are token. Change `type`, or remove `location`."),
    ((*CLIENT, "auth"), {"type": "api_key", "name": 5}, "name", "`name` is a whole number. Write text, in quotes."),
    ((*CLIENT, "auth"), {"type": "oauth2_client_credentials"}, "", "the auth `oauth2_client_credentials` needs `access_token_url`. Add it."),
]  # fmt: skip

PLACEHOLDERS = [
    ((*ENDPOINT, "path"), "x/{resources.nope.id}", "", "orders: endpoint.path takes `id` from the rows of `nope`, and there is no such resource. The resources are orders, shops."),
    ((*ENDPOINT, "params"), {"q": "{resources.shop.id}"}, "q", "endpoint.params.q takes `id` from the rows of `shop`, and there is no such resource. Did you mean `shops`?"),
    ((*ENDPOINT, "json"), {"a": {"b": ["{resources.shop.id}"]}}, ("a", "b", 0), "endpoint.json.a.b.0 takes `id` from the rows of `shop`"),
    ((*ENDPOINT, "path"), "x/{resources.orders.id}", "", "endpoint.path takes `id` from the rows of this resource itself. Name another resource."),
    ((*ENDPOINT, "path"), "x/{resources.shops}", "", "`{resources.shops}` in endpoint.path names no field. Write `{resources.shops.<field>}`."),
    ((*ENDPOINT, "params"), {"q": "{resources.shops.a..}"}, "q", "takes `a..` from the rows of `shops`, and this is no JSONPath. Write the names of the fields with dots"),
    ((*ENDPOINT, "path"), "x/{resources.shops.a[}", "", "endpoint.path has single braces."),
    ((*ENDPOINT, "params"), {"id": {"type": "resolve", "resource": "shops", "field": "id"}}, "id", 'the path has no `{id}`. Put it into the path, or write `id: "{resources.shops.id}"` to send it as a parameter.'),
    ((*ENDPOINT, "params"), {"id": {"type": "resolve", "resource": "shops"}}, "id", "endpoint.params.id needs `resource` and `field`."),
    ((*ENDPOINT, "params"), {"id": {"type": "resolv", "resource": "shops", "field": "id"}}, "id", "endpoint.params.id is of the type `resolv`, and dlt knows only the types resolve and incremental. Did you mean `resolve`?"),
    ((*ENDPOINT, "params"), {"filter": {"a": 1}}, "filter", "endpoint.params.filter is a mapping, and dlt knows only the types"),
    ((*ENDPOINT, "path"), "x/{account}", "", "orders: endpoint.path has `{account}`, and endpoint.params has no `account`. Add it there, or take it from the rows of another resource, as in `{resources.<resource>.account}`."),
    ((*ENDPOINT, "path"), "x/{resource.shops.id}", "", "endpoint.path has `{resource.shops.id}`, which is no placeholder."),
    ((*ENDPOINT, "path"), "x/{}", "", "endpoint.path has single braces."),
    ((*ENDPOINT, "path"), "x/{", "", "endpoint.path has single braces."),
    ((*ENDPOINT, "json"), {"query": "{ orders { id } }"}, "query", "orders: endpoint.json.query has single braces. If braces are text, as in GraphQL or JSON, double each, and write the value between `{% raw %}` and `{% endraw %}`."),
    ((*ENDPOINT, "json"), {"query": "query { orders(first: 5) }"}, "query", "endpoint.json.query has `{ orders(first}`, which is no placeholder."),
    ((*ENDPOINT, "data"), "{ orders { id } }", "", "endpoint.data has single braces."),
    ((*ENDPOINT, "params"), {"query": "{orders}"}, "query", "endpoint.params.query has `{orders}`, which is no placeholder."),
    ((*ENDPOINT, "params"), {"filter": '{"a": 1}'}, "filter", 'endpoint.params.filter has `{"a"}`, which is no placeholder.'),
    ((*ENDPOINT, "params"), {"f": "{}"}, "f", "endpoint.params.f has single braces."),
    ((*ENDPOINT, "params"), {"f": "}"}, "f", "endpoint.params.f has single braces."),
    ((*ENDPOINT, "headers"), {"X": "{abc}"}, "X", "endpoint.headers.X has `{abc}`, which is no placeholder."),
    ((*DEFAULTS, "endpoint", "params"), {"f": "{0}"}, "f", "orders: endpoint.params.f has `{0}`, which is no placeholder."),
    ((*ENDPOINT, "params"), {"since": "{incremental.start_value}"}, "since", "`{incremental.start_value}` in endpoint.params.since needs a cursor. Add `incremental: {cursor_path: …}` to the endpoint."),
    (ENDPOINT, {"params": {"since": "{incremental.start_valu}"}, "incremental": cursor()}, ("params", "since"), "a cursor has no `start_valu`, which endpoint.params.since takes. Did you mean `start_value`?"),
    ((*ORDERS, "include_from_parent"), ["id"], "", "orders: `include_from_parent` needs a parent. Use a field of it in the request"),
    ((*ORDERS, "include_from_parent"), "id", "", "`include_from_parent` is `id`, which is text. Write a list."),
    (("rest_api", "resources"), ["a", "b", {"name": "c", "endpoint": "{resources.a.id}/{resources.b.id}"}], (2, "endpoint"), "c: the placeholders take values from the rows of several resources, `a` and `b`, and dlt takes them from one."),
    (("rest_api", "resources"), [{"name": "a", "endpoint": "a/{resources.b.id}"}, {"name": "b", "endpoint": {"path": "b", "params": {"x": "{resources.a.id}"}}}], (0, "endpoint"), "a: resources take values from each other in a circle: `a` → `b` → `a`."),
]  # fmt: skip

VALUES = [
    # What fails, or does nothing, in each run.
    (ENDPOINT, {"method": "POST", "json": {"a": 1}, "data": "x"}, "data", "orders: the endpoint has `json` and `data`, and a request has one body. Remove one of them."),
    ((*ENDPOINT, "method"), "FETCH", "", "orders: `method` is `FETCH`, and dlt knows only GET, POST. Write one of them."),
    ((*ENDPOINT, "method"), "post", "", "Did you mean `POST`?"),
    ((*ENDPOINT, "incremental"), cursor(end_value="2026-01-01"), "end_value", "orders: `end_value` needs `initial_value`. Add it, or remove `end_value`."),
    ((*ENDPOINT, "incremental"), cursor(initial_value="2026-02-01", end_value="2026-01-01"), "initial_value", "`initial_value` 2026-02-01 is after `end_value` 2026-01-01, so no row is in between. Exchange them."),
    ((*ENDPOINT, "incremental"), cursor(initial_value=date(2026, 2, 1), end_value="2026-01-01T00:00:00Z"), "initial_value", "is after `end_value`"),
    ((*ENDPOINT, "incremental"), cursor(initial_value=5, end_value=4), "initial_value", "is after `end_value`"),
    ((*ENDPOINT, "incremental"), cursor(initial_value=4, end_value=5, last_value_func="min"), "initial_value", "is before `end_value`"),
    ((*ENDPOINT, "incremental"), {"initial_value": 1}, "", "orders: `endpoint.incremental` has no `cursor_path`."),
    ((*ENDPOINT, "incremental"), {"cursor_path": "a["}, "cursor_path", "incremental.cursor_path `a[` is no JSONPath."),
    ((*ENDPOINT, "incremental"), cursor(last_value_func="avg"), "last_value_func", "`last_value_func` is `avg`, and dlt knows only min, max."),
    ((*ENDPOINT, "incremental"), cursor(on_cursor_value_missing="ignore"), "on_cursor_value_missing", "dlt knows only raise, include, exclude."),
    ((*ENDPOINT, "incremental"), cursor(row_order="up"), "row_order", "dlt knows only asc, desc."),
    ((*ENDPOINT, "incremental"), cursor(range_start="half"), "range_start", "dlt knows only open, closed."),
    ((*ENDPOINT, "incremental"), cursor(lag="1d"), "lag", "`lag` is `1d`, which is text. Write a number, without quotes."),
    ((*ENDPOINT, "incremental"), "at", "", "`incremental` is `at`, which is text. Write a mapping."),
    ((*ENDPOINT, "params"), {"s": {"type": "incremental", **cursor(lag="1d")}}, ("s", "lag"), "`lag` is `1d`, which is text."),
    ((*ENDPOINT, "params"), {"s": {"type": "incremental", **cursor(curser=1)}}, ("s", "curser"), "orders: unknown key `curser`."),
    ((*ENDPOINT, "response_actions"), [{"status_code": 404, "action": "skip"}], (0, "action"), "orders: dlt does nothing for the action `skip`, because it knows only `ignore`. Write it, or use requests.responses"),
    ((*ENDPOINT, "response_actions"), [{"status_code": 404}], (0,), "the rule has no `action`. Write `action: ignore`"),
    ((*ENDPOINT, "response_actions"), [{"status_code": "404", "action": "ignore"}], (0, "status_code"), "`status_code` is the text `404`, which fits no response. Write a number, such as 404."),
    ((*ENDPOINT, "response_actions"), [{"action": "ignore"}], (0,), "the rule fits no response. Add `status_code` or `content`."),
    ((*ENDPOINT, "response_actions"), {"status_code": 404, "action": "ignore"}, "", "`response_actions` is a mapping. Write a list."),
    (("requests", "responses"), [{"body": {"a[": 1}, "action": "fail"}], (0, "body", "a["), "`a[` is no JSONPath."),
    ((*ENDPOINT, "data_selector"), "data[", "", "orders: data_selector `data[` is no JSONPath."),
    ((*ENDPOINT, "data_selector"), "data.`sorted`", "", "data_selector `data.`sorted`` has `sorted` in backticks, which fails on rows. Leave it out"),
    ((*ENDPOINT, "data_selector"), "data.`foo`", "", "is no JSONPath. Write the names of the fields with dots"),
    ((*ENDPOINT, "data_selector"), "data.`sub(/a/,b)`", "", "is no JSONPath."),
    ((*ENDPOINT, "data_selector"), "data.`sub(/[/, b)`", "", "is no JSONPath."),
    ((*ENDPOINT, "data_selector"), "data&rows", "", "has `&`, which no JSONPath here can compute."),
    ((*ENDPOINT, "data_selector"), "$.$values", "", "is no JSONPath. Write the name in quotes: `$.'$values'`."),
    ((*ENDPOINT, "data_selector"), "data.odd name", "", "is no JSONPath. Write the name in quotes: `data.'odd name'`."),
    ((*ENDPOINT, "data_selector"), "ns:rows", "", "is no JSONPath. Write the name in quotes: `\"'ns:rows'\"`."),
    ((*ENDPOINT, "data_selector"), "data.größe", "", "Write the name in quotes: `data.'größe'`."),
    ((*ENDPOINT, "paginator"), {"type": "json_link", "next_url_path": "@odata.nextLink"}, "next_url_path", "paginator.next_url_path `@odata.nextLink` looks for a field inside another, but the dots are part of its name. Write the name in quotes: `\"'@odata.nextLink'\"`."),
    ((*CLIENT, "paginator"), {"type": "json_link", "next_url_path": "$.@odata.nextLink"}, "next_url_path", "Write the name in quotes: `$.'@odata.nextLink'`."),
    ((*ENDPOINT, "paginator"), offset(total_path="d.value@odata.count"), "total_path", "Write the name in quotes: `d.'value@odata.count'`."),
    ((*ENDPOINT, "paginator"), {"type": "cursor", "cursor_path": "$next"}, "cursor_path", "Write the name in quotes: `\"'$next'\"`."),
    (("requests", "responses"), [{"body": {"@odata.x": 1}, "action": "fail"}], (0, "body", "@odata.x"), "Write the name in quotes"),
    ((*ENDPOINT, "params"), {"q": "{resources.shops.@odata.id}"}, "q", "takes `@odata.id` from the rows of `shops`, and this looks for a field inside another"),
    ((*ENDPOINT, "data_selector"), ["data"], "", "`data_selector` is a list. Write text."),
    (CLIENT, {}, "", "the client has no `base_url`. Add the URL that all endpoints begin with."),
    ((*CLIENT, "base_url"), "api.example.com", "", "`api.example.com` is not a URL. Write https:// or http://, then the host."),
    ((*CLIENT, "base_url"), "ftp://api.example.com", "", "is not a URL."),
    ((*CLIENT, "base_url"), "https://api example.com", "", "is not a URL."),
    ((*ORDERS, "write_disposition"), "upsert", "", "orders: `write_disposition` is `upsert`, which is a value of `strategy`. Write a mapping with `strategy: upsert`."),
    ((*ORDERS, "write_disposition"), {"disposition": "append", "strategy": "upsert"}, "", "the strategy `upsert` needs `disposition: merge`, and it is `append`."),
    ((*ORDERS, "write_disposition"), ["merge"], "", "`write_disposition` is a list."),
    ((*ORDERS, "primary_key"), ["id", "id"], "", "orders: `primary_key` has `id` twice. Remove one."),
    ((*ORDERS, "merge_key"), ["id", "day", "id"], "", "`merge_key` has `id` twice. Remove one."),
    ((*ORDERS, "primary_key"), [""], "", "a column of `primary_key` has no name."),
    ((*ORDERS, "primary_key"), [5], (0,), "`primary_key[0]` is `5`. Write text, in quotes."),
    ((*ORDERS, "max_table_nesting"), -1, "", "`max_table_nesting` is -1. Write a whole number from 0 on."),
    ((*ORDERS, "columns", "id", "precision"), -1, "", "`precision` of `id` is -1. Write a whole number from 0 on."),
    ((*ORDERS, "columns", "id", "nullable"), "no", "", "orders: `nullable` is `no`, which is text. Write true or false, without quotes."),
    ((*ORDERS, "columns", "id"), "bigint", "", "`id` is `bigint`, which is text. Write a mapping."),
    ((*ORDERS, "columns", "id"), None, "", "orders: `id` is empty. Write a mapping"),
    ((*ORDERS, "columns"), ["id"], (0,), "`columns[0]` is `id`, which is text. Write a mapping."),
    ((*ORDERS, "columns"), [{"data_type": "text"}], (0,), "orders: the column has no `name`. Add one."),
    ((*ORDERS, "columns"), "id", "", "`columns` is `id`, which is text. Write a mapping or a list."),
    ((*ORDERS, "schema_contract"), "freez", "", "Did you mean `freeze`?"),
    ((*ORDERS, "selected"), "no", "", "`selected` is `no`, which is text. Write true or false, without quotes."),
    ((*ORDERS, "processing_steps"), [{"map": "x"}], (0, "map"), "`map` is `x`, which is text. Only Python code can set it"),
    ((*ORDERS, "endpoint"), None, "", "orders: `endpoint` is empty. Write a value, or remove the key."),
    ((*ENDPOINT, "path"), None, "", "`path` is empty."),
    ((*ENDPOINT, "path"), 5, "", "`path` is `5`. Write text, in quotes."),
    ((*ENDPOINT, "json"), None, "", "`json` is empty."),
    ((*ENDPOINT, "params"), "a=b", "", "`params` is text. Write a mapping."),
    ((*ENDPOINT, "headers"), ["X"], "", "`headers` is a list. Write a mapping."),
    ((*CLIENT, "headers"), {"X": 5}, "X", "`X` is a whole number. Write text, in quotes."),
    ((*DEFAULTS, "endpoint"), "x", "", "the defaults of an endpoint are text."),
    (CLIENT, "https://x", "", "`client` is `https://x`, which is text. Write a mapping."),
    (("rest_api", "resources"), {"orders": {}}, "", "`resources` is a mapping. Write a list."),
    (("rest_api", "resources"), [5], (0,), "`resources[0]` is `5`. Write text or a mapping"),
    (("rest_api", "resources"), ["a", "a"], (1, "name"), "there are two resources named `a`. Rename one of them."),
    (("requests", "max_in_flight"), 0, "", "Input should be greater than or equal to 1"),
    (("requests", "requests_per_second"), -1, "", "Input should be greater than 0"),
]  # fmt: skip

PLACES = [
    # A known key at a wrong place.
    ((*ORDERS, "params"), "orders: unknown key `params`. It belongs in `endpoint`."),
    ((*ORDERS, "paginator"), "It belongs in `endpoint` or `rest_api.client`."),
    ((*ORDERS, "data_selector"), "It belongs in `endpoint`."),
    ((*ORDERS, "method"), "It belongs in `endpoint`."),
    ((*ORDERS, "start_param"), "It belongs in `endpoint.incremental`."),
    ((*ORDERS, "incremental"), "It belongs in `endpoint` or `columns.<column>`."),
    ((*ORDERS, "limit"), "It belongs in `endpoint.paginator`."),
    ((*ORDERS, "location"), "It belongs in `endpoint.auth`."),
    ((*ORDERS, "nullable"), "It belongs in `columns.<column>`."),
    ((*ORDERS, "schedule"), "It belongs in `assets.<resource>`."),
    ((*ORDERS, "partitions"), "It belongs in `assets.<resource>`."),
    ((*ORDERS, "description"), "It belongs in `columns.<column>` or `assets.<resource>`."),
    ((*ORDERS, "rename"), "Did you mean `name`? `rename` itself belongs in `assets.<resource>`."),
    ((*ENDPOINT, "primary_key"), "orders: unknown key `primary_key`. It belongs beside `endpoint`."),
    ((*ENDPOINT, "write_disposition"), "It belongs beside `endpoint`."),
    ((*ENDPOINT, "columns"), "It belongs beside `endpoint`."),
    ((*ENDPOINT, "cursor_path"), "It belongs in `paginator` or `incremental`."),
    ((*ENDPOINT, "start_param"), "It belongs in `incremental`."),
    ((*ENDPOINT, "base_url"), "It belongs in `rest_api.client`."),
    ((*ENDPOINT, "paginator"), {"type": "offset", "limit": 1, "page_overlap": 1}, "It belongs in `requests`."),
    ((*ENDPOINT, "incremental"), {"cursor_path": "a", "params": {}}, "It belongs beside `incremental`."),
    ((*ENDPOINT, "response_actions"), [{"status": 404}], "Did you mean `status_code`? `status` itself belongs in `requests.responses[]`."),
    ((*DEFAULTS, "params"), "It belongs in `endpoint`."),
    ((*DEFAULTS, "schedule"), "It belongs in `assets.<resource>`."),
    ((*CLIENT, "requests"), "unknown key `requests`. It belongs beside `rest_api`."),
    ((*CLIENT, "resources"), "It belongs beside `client`."),
    ((*CLIENT, "endpoint"), "It belongs in `rest_api.resources[]`."),
    ((*CLIENT, "token"), "It belongs in `auth`."),
    ((*CLIENT, "max_retries"), "It belongs in `requests` or `assets.<resource>.retry_policy`."),
    (("rest_api", "paginator"), "It belongs in `client` or `resources[].endpoint`."),
    (("rest_api", "base_url"), "It belongs in `client`."),
    (("rest_api", "bas_url"), "Did you mean `base_url`? It belongs in `client`."),
    (("rest_api", "requests"), "It belongs beside `rest_api`."),
    (("rest_api", "write_disposition"), "It belongs in `resources[]`."),
    (("paginator",), "It belongs in `rest_api.client` or `rest_api.resources[].endpoint`."),
    (("client",), "It belongs in `rest_api`."),
    (("base_url",), "It belongs in `rest_api.client`."),
    (("schedule",), "It belongs in `assets.<resource>`."),
    (("cooldown_minutes",), "It belongs in `circuit_breaker`."),
    (("requests", "cooldown_minutes"), "It belongs in `circuit_breaker`."),
    (("assets", "orders", "columns"), "It belongs in `rest_api.resources[]`."),
    (("assets", "orders", "selected"), "It belongs in `rest_api.resources[]`."),
    (("assets", "orders", "severity"), "It belongs in `checks.<check>`."),
    (("assets", "orders", "end_offset"), "It belongs in `partitions`"),
    (("assets", "orders", "partitions"), {"schedule": "x"}, "It belongs beside `partitions`."),
    (("assets", "orders", "colour"), "unknown key `colour`. The keys here are group_name, key_prefix"),
]  # fmt: skip


def _dotted(one: Any) -> str | None:
    return ".".join(map(str, one)) if isinstance(one, tuple) and one else None


def _beyond(place: Place, more: str | Place) -> Place:
    return (*place, *((more,) if isinstance(more, str) and more else more))


@pytest.mark.parametrize(
    ("place", "value", "more", "sentence"), [*PAGINATORS, *AUTHS, *PLACEHOLDERS, *VALUES], ids=_dotted
)
def test_what_cannot_work_is_refused_at_its_key(
    place: Place, value: Any, more: str | Place, sentence: str
) -> None:
    location, message = refused(written(place, value))
    assert (location, message) == (_beyond(place, more), message)
    assert sentence in message


@pytest.mark.parametrize("line", PLACES, ids=[_dotted(line[0]) for line in PLACES])
def test_a_key_at_a_wrong_place_says_where_it_belongs(line: tuple[Any, ...]) -> None:
    place, *value, sentence = line
    location, message = refused(written(place, value[0] if value else {}))
    assert location[: len(place)] == place
    assert message.endswith(sentence) or sentence in message


@pytest.mark.parametrize("place", [CLIENT, ENDPOINT])
def test_a_pasted_key_is_not_repeated(place: Place) -> None:
    for value in ("s3cr3t-value", {"type": "api_key", "api_key": ["s3cr3t-value"]}, {"tokn": "s3cr3t-value"}):
        _, message = refused(written((*place, "auth"), value))
        assert "s3cr3t-value" not in message


SHOP = {"type": "resolve", "resource": "shops", "field": "id"}
GOOD: list[tuple[Place, Any]] = [
    ((*SHOPS, "selected"), False),
    (ORDERS, {"name": "orders", "endpoint": "shops/{resources.shops.id}/orders", "include_from_parent": ["id"]}),
    (ENDPOINT, {"path": "shops/{id}/orders", "params": {"id": SHOP}}),
    (ENDPOINT, {"path": "{id}/{id}", "params": {"id": SHOP}}),
    (ENDPOINT, {"path": "shops/{id}", "params": {"id": 5, "x": "{resources.shops.a.'b c'}"}}),
    (ENDPOINT, {"path": "o", "params": {"a": "{resources.shops.id[0]}", "b": "{resources.shops.a!s:>5}"}}),
    (ENDPOINT, {"path": "o", "method": "POST", "json": {"query": "{{ orders {{ id }} }}"}}),
    (ENDPOINT, {"path": "o", "method": "POST", "json": {"{resources.shops.id}": [1, None, {"a": True}]}}),
    (ENDPOINT, {"path": "o", "method": "POST", "data": '{{"a": 1}}', "json": {}}),
    (ENDPOINT, {"path": "o", "json": {"a": 1}}),
    (ENDPOINT, {"path": "o", "params": None, "incremental": None, "paginator": None, "headers": None}),
    (ENDPOINT, {"path": "o", "params": {"a": [1, 2], "b": None, "c": 1.5, "d": date(2026, 1, 1)}}),
    (ENDPOINT, {"path": "o", "params": {"s": "{incremental.start_value}"}, "incremental": cursor()}),
    (ENDPOINT, {"path": "o/{incremental.start_value:%Y}", "incremental": cursor()}),
    (ENDPOINT, {"path": "o", "params": {"s": {"type": "incremental", **cursor()}, "t": "{incremental.end_value}"}}),
    ((*ENDPOINT, "incremental"), cursor(initial_value=1, end_value=1)),
    ((*ENDPOINT, "incremental"), cursor(initial_value=5, end_value=4, last_value_func="min")),
    ((*ENDPOINT, "incremental"), cursor(initial_value="b", end_value="a", last_value_func=max)),
    ((*ENDPOINT, "incremental"), cursor(lag=1, primary_key=["a"], row_order="asc", convert=str)),
    ((*ENDPOINT, "response_actions"), [{"status_code": 404, "action": "ignore"}, {"content": "x", "action": "ignore"}]),
    ((*ENDPOINT, "response_actions"), [{"action": print}, print, {"status_code": 200, "action": [print]}]),
    ((*ENDPOINT, "paginator"), {"type": "auto"}),
    ((*ENDPOINT, "paginator"), "json_link"),
    ((*ENDPOINT, "paginator"), OffsetPaginator(10)),
    ((*ENDPOINT, "paginator"), offset(offset=0, maximum_offset=0, total_path=None, has_more_path="a.b")),
    ((*ENDPOINT, "paginator"), {"type": "page_number", "base_page": 1, "page": 1, "maximum_page": 5}),
    *(((*ENDPOINT, "data_selector"), one) for one in (
        "$.data[*].'odd name'", "data.@type", "@attr.rows", "['@odata.value']", "'@odata.value'", "data[/id]", "@.data",
        "data.'`sorted`'", "data[?(@.a > 1 & @.b > 2)]", "a-b.0", "data.sorted",
    )),
    ((*ENDPOINT, "paginator"), offset(total_path="data.`len`")),
    ((*ENDPOINT, "paginator"), {"type": "json_link", "next_url_path": "next.`sub(/a/, b)`"}),
    ((*CLIENT, "auth"), APIKeyAuth(name="k", api_key="x", location="query")),
    ((*CLIENT, "auth"), {"type": "api_key", "name": "Cookie", "location": "header"}),
    ((*CLIENT, "auth"), {}),
    ((*CLIENT, "auth"), "bearer"),
    ((*CLIENT, "base_url"), "http://127.0.0.1:8000/v1?x=1"),
    ((*ORDERS, "columns"), [{"name": "id", "data_type": "bigint", "x-mine": {"a": 1}}]),
    ((*ORDERS, "columns"), {"id": {}, "price": {"data_type": "decimal", "precision": 18, "scale": 0}}),
    ((*ORDERS, "primary_key"), []),
    ((*ORDERS, "primary_key"), ""),
    ((*ORDERS, "primary_key"), ["id", "day"]),
    ((*ORDERS, "write_disposition"), {"disposition": "merge", "strategy": "upsert"}),
    ((*ORDERS, "write_disposition"), {"disposition": "merge", "strategy": "scd2", "active_record_timestamp": "9999-12-31"}),
    ((*ORDERS, "schema_contract"), {"columns": "freeze"}),
    ((*ORDERS, "max_table_nesting"), 0),
    ((*ORDERS, "processing_steps"), [{"map": copy.copy, "filter": copy.copy}]),
    ((*ORDERS, "nested_hints"), {"items": {"columns": {"id": {"data_type": "bigint"}}}}),
    (("rest_api", "resources"), ["orders"]),
    (DEFAULTS, None),
    ((*DEFAULTS, "endpoint"), {"params": {"per_page": 5}, "paginator": offset(), "json": {"a": 1}}),
]  # fmt: skip


@pytest.mark.parametrize(("place", "value"), GOOD, ids=_dotted)
def test_what_dlt_takes_is_not_refused(place: Place, value: Any) -> None:
    assert "orders" in RestApiSync(**written(place, value)).resources
