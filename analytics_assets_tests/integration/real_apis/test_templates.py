"""Texts and templates of a `defs.yaml`: what arrives at the API, to the letter."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

import dagster as dg
import pytest
import yaml
from dagster.components.core.component_tree import ComponentTreeException
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.ingestion.errors import SyncError
from analytics_assets_tests.answering import Asked, answering
from analytics_assets_tests.conftest import Project, failure_of, metadata_of
from analytics_assets_tests.real_api import defs

PAGE = {"data": [{"id": 1}]}
ENV = {
    "LIMIT": "10", "VERSION": "1.10", "PHONE": "+49", "QUOTED": "'x'", "LIST": "[1, 2]", "EMPTY": "", "BRACES": "{a}",
    "WORD": "true", "ZERO": "007", "NONE": "None", "ROW_LIMIT": "50",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)


def recorder(seen: list[Asked], **row: Any) -> Callable[[Asked], Any]:
    """A reply of one row, which keeps each request in `seen`."""

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return {"data": [{"id": 1, **row}]}

    return reply


def asked_by(project: Project, **endpoint: Any) -> Asked:
    """The first request of a sync with this endpoint."""
    seen: list[Asked] = []
    with answering(recorder(seen)) as url:
        project.load(defs(url, **{"paginator": "single_page", **endpoint}), "things")
    return seen[0]


LITERALS = ["1.10", '["View"]', "0x10", "None", "123", "+49", "true", "'a'", "1e5", "(1, 2)", "%7B", "#", "%"]

TEMPLATES = [
    ("{{ env.LIMIT }}", "10"),
    ("{{ env.VERSION }}", "1.10"),
    ("{{ env('VERSION') }}", "1.10"),
    ("{{ env('NOWHERE', '1.10') }}", "1.10"),
    ("{{ env.NOWHERE or '2.0' }}", "2.0"),
    ("{{ env.NOWHERE | default('3.0') }}", "3.0"),
    ("{{ env.NOWHERE | default('3.0', true) }}", "3.0"),
    ("{% if env.NOWHERE %}a{% else %}0x10{% endif %}", "0x10"),
    ("{% if env.NOWHERE is none %}a{% else %}b{% endif %}", "a"),
    ("v{{ env.VERSION }}", "v1.10"),
    ("{{ env.LIMIT }}{{ env.LIMIT }}", "1010"),
    ("{{ env.QUOTED }}", "'x'"),
    ("{{ env.WORD }}", "true"),
    ("{{ env.ZERO }}", "007"),
    ("{{ env.NONE }}", "None"),
    ("{{ env.BRACES }}", "{a}"),
    ("<{{ env.BRACES }}>", "<{a}>"),
    ("{% raw %}status:{{open}} x{% endraw %}", "status:{open} x"),
    ("{% raw %}{{ shop {{ name }} }}{% endraw %}", "{ shop { name } }"),
    ("{{ '{{' }}open{{ '}}' }}", "{open}"),
    ("{{ env.LIMIT | int + 1 }} x", "11 x"),
]  # fmt: skip


TEXTS = [*((one, one) for one in LITERALS), *TEMPLATES]


def test_texts_arrive_to_the_letter_in_params_headers_and_data(project: Project) -> None:
    written = {f"v{number}": one for number, (one, _) in enumerate(TEXTS)}
    sent = {f"v{number}": one for number, (_, one) in enumerate(TEXTS)}
    asked = asked_by(project, method="POST", params=written, headers=written, data=written)
    assert asked.params == sent
    assert {name: asked.headers[name] for name in sent} == sent
    assert dict(parse_qsl(asked.body.decode())) == sent


@pytest.mark.parametrize("index", [1, 9, 19])
def test_a_text_arrives_to_the_letter_as_a_body(project: Project, index: int) -> None:
    written, sent = TEXTS[index]
    assert asked_by(project, method="POST", data=written).body.decode() == sent


JSON = [
    *((one, one) for one in LITERALS),
    ("{{ env.PHONE | string }}", "+49"),
    ("{{ env.LIMIT | string }}", "10"),
    ("{{ env.LIMIT | from_json }}", 10),
    ("{{ env.LIMIT | int }}", 10),
    ("{{ env.LIST | from_json }}", [1, 2]),
    ("v{{ env.VERSION }}", "v1.10"),
    ("{{ env.BRACES }}", "{a}"),
    ("{% raw %}{{ shop {{ name }} }}{% endraw %}", "{ shop { name } }"),
    ("{% raw %}{{open}}{% endraw %}", "{open}"),
]


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(("written", "sent"), JSON)
def test_json_has_texts_to_the_letter(project: Project, written: str, sent: Any) -> None:
    assert json.loads(asked_by(project, method="POST", json={"a": [{"b": written}]}).body) == {
        "a": [{"b": sent}]
    }


@pytest.mark.matrix(keep=3)
@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("1.10", "/1.10"),
        ("v/{{ env.VERSION }}/x", "/v/1.10/x"),
        ("{{ env.LIMIT }}", "/10"),
        ("{% raw %}a/{{open}}/b{% endraw %}", "/a/%7Bopen%7D/b"),
        ("{% raw %}a/{{open}}{% endraw %}/{{ env.LIMIT }}", "/a/%7Bopen%7D/10"),
    ],
)
def test_a_path_has_texts_to_the_letter(project: Project, written: str, path: str) -> None:
    assert asked_by(project, path=written).path == path


def test_a_client_header_arrives_to_the_letter(project: Project) -> None:
    seen: list[Asked] = []

    def reply(asked: Asked) -> Any:
        seen.append(asked)
        return PAGE

    headers = {"X-Api-Version": "2", "X-Raw": "{% raw %}{{a}}{% endraw %}", "X-Env": "{{ env.BRACES }}"}
    with answering(reply) as url:
        project.load(defs(url, client={"headers": headers}, paginator="single_page"), "things")
    got = seen[0].headers
    assert (got["x-api-version"], got["x-raw"], got["x-env"]) == ("2", "{{a}}", "{a}")


def rendered(place: tuple[str | int, ...], value: Any) -> Any:
    """The value at `place` of a config with `value` written there."""
    attributes = yaml.safe_load(defs("http://x", paginator={"type": "offset", "limit": 5}))["attributes"]
    attributes["assets"] = {"things": {"partitions": None}}
    holder: Any = attributes
    for part in place[:-1]:
        holder = holder.setdefault(part, {}) if isinstance(holder, dict) else holder[part]
    holder[place[-1]] = value
    found: Any = RestApiSync.rendered(attributes).model_dump()
    for part in place:
        found = found[part]
    return found


ENDPOINT = ("rest_api", "resources", 0, "endpoint")
THINGS = ("rest_api", "resources", 0)


@pytest.mark.parametrize(
    ("place", "written", "value"),
    [
        ((*ENDPOINT, "paginator", "limit"), "{{ env.LIMIT }}", 10),
        ((*ENDPOINT, "paginator", "stop_after_empty_page"), "{{ env.WORD }}", True),
        ((*ENDPOINT, "paginator", "total_path"), "['@odata.count']", "['@odata.count']"),
        ((*ENDPOINT, "data_selector"), "{{ env.LIMIT }}", "10"),
        ((*THINGS, "max_table_nesting"), "{{ env.LIMIT }}", 10),
        ((*THINGS, "selected"), "{{ env.WORD }}", True),
        ((*THINGS, "primary_key"), "{{ env('NOWHERE', '[\"id\", \"n\"]') }}", ["id", "n"]),
        ((*THINGS, "columns", "id", "precision"), "{{ env.LIMIT }}", 10),
        (("requests", "max_retries"), "{{ env.LIMIT }}", 10),
        (("requests", "requests_per_second"), "{{ env('NOWHERE', '0.5') }}", 0.5),
        (("requests", "page_overlap"), "{{ env.WORD }}", True),
        (("requests", "retry_statuses"), "{{ env('NOWHERE', '[429, 500]') }}", frozenset({429, 500})),
        (("requests",), "{{ env('NOWHERE', '{\"max_retries\": 1}') }}", None),
        (("assets", "things", "max_quarantined"), "{{ env.LIMIT }}", 10),
        (("assets", "things", "max_quarantined"), "{{ env.LIMIT }}%", "10%"),
        (("assets", "things", "tags"), {"tier": "1", "v": "{{ env.VERSION }}"}, {"tier": "1", "v": "1.10"}),
        (("assets", "things", "description"), "{{ env.LIMIT }}", "10"),
        (("assets", "things", "description"), "None", "None"),
        (("assets", "things", "owners"), "{{ env('NOWHERE', '[\"team:a\"]') }}", ["team:a"]),
        (("assets", "things", "schedule"), "{{ env('NOWHERE', '0 2 * * *') }}", "0 2 * * *"),
        (("assets", "things", "schedule"), "{{ env('NOWHERE', none) }}", None),
        (("assets", "things", "freshness"), {"fail_after_hours": "{{ env.LIMIT }}"}, None),
        (("name",), "a{{ env.LIMIT }}", "a10"),
        (("alerts", "dagster_url"), "https://{{ env.WORD }}", "https://true"),
    ],
)
def test_a_whole_template_takes_the_type_of_its_key(
    place: tuple[str | int, ...], written: Any, value: Any
) -> None:
    found = rendered(place, written)
    if value is not None or "schedule" in place:
        assert found == value
        assert type(found) is type(value)


@pytest.mark.parametrize(
    ("place", "written", "sentence"),
    [
        ((*ENDPOINT, "params"), {"a": "{{ foo.bar }}"}, "`foo` in this template is unknown. Known are env"),
        ((*ENDPOINT, "headers"), {"a": "{{ foo.bar }}"}, "`foo` in this template is unknown"),
        ((*ENDPOINT, "params"), {"a": "status:{{open}} x"}, "write {% raw %}…{% endraw %}"),
        ((*ENDPOINT, "json"), {"query": "{{ shop {{ name }} }}"}, "write {% raw %}…{% endraw %}"),
        ((*ENDPOINT, "json"), {"query": "{ a } {% b"}, "write {% raw %}…{% endraw %}"),
        ((*ENDPOINT, "params"), {"a": "{{ env.LIMIT | nope }}"}, "No filter named 'nope'"),
        ((*ENDPOINT, "params"), {"a": "{{ env.LIMIT.x }}"}, "has no attribute 'x'"),
        ((*ENDPOINT, "params"), {"a": "{{ env }}"}, "`env` alone has no value"),
        ((*ENDPOINT, "params"), {"{{ env.LIMIT }}": 1}, "a key cannot be a template"),
        (
            (*ENDPOINT, "params"),
            {"a": "{{ env.LIST }}"},
            "Write `| from_json` before `}}` for list, or `| string`",
        ),
        (
            (*ENDPOINT, "json"),
            {"a": "{{ env.LIMIT }}"},
            "may be int or text. Write `| from_json` before `}}`",
        ),
        ((*ENDPOINT, "json"), {"a": "{{ env.PHONE }}"}, "may be int or text"),
        ((*ENDPOINT, "paginator", "limit"), "1{{ env.LIMIT }}", "which is text. Write a whole number"),
        (
            ("assets", "things", "freshness"),
            {"fail_after_hours": "{{ env.QUOTED }}"},
            "should be a valid number",
        ),
        (("requests",), "{{ env.LIMIT }}", "valid dictionary"),
        (("name",), "{{ env.EMPTY }}", "cannot be the name of a dataset"),
    ],
)
def test_a_template_that_is_wrong_is_an_error_at_its_key(
    place: tuple[str | int, ...], written: Any, sentence: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        rendered(place, written)
    assert sentence in str(caught.value)


def test_a_wrong_template_is_reported_with_file_and_line(project: Project) -> None:
    text = defs("http://x", params={"a": "{{ foo.bar }}"})
    with pytest.raises(ComponentTreeException) as caught:
        project.definitions(text)
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "foo.bar" in one)
    assert f"rest_api.resources.0.endpoint.params.a at {project.defs_yaml}:{line}`" in str(
        caught.value.__cause__
    )
    assert "Known are automation_condition, context, datetime, dg, env" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("written", "end"),
    [("{{ context.project_root }}/x", "/x"), ("{{ datetime.timedelta(days=7) }}", "days, 0:00:00")],
)
def test_dagsters_other_scopes_work(project: Project, written: str, end: str) -> None:
    seen: list[Asked] = []
    with answering(recorder(seen)) as url:
        definitions = project.definitions(defs(url, paginator="single_page", params={"a": f"<{written}"}))
        assert project.run(definitions, "things", source="api").success
    assert seen[0].params["a"].endswith(end)


UNSET = [
    (("rest_api", "client", "base_url"), "{{ env.NOWHERE }}"),
    (("rest_api", "client", "base_url"), "https://{{ env('NOWHERE') }}/v1"),
    ((*ENDPOINT, "params"), {"a": "{{ env.NOWHERE }}"}),
    ((*ENDPOINT, "params"), {"a": "x{{ env.NOWHERE }}"}),
    ((*ENDPOINT, "json"), {"a": "{{ env.NOWHERE | int }}"}),
    ((*ENDPOINT, "path"), "a/{{ env.NOWHERE }}"),
    ((*ENDPOINT, "headers"), {"a": "{{ env.NOWHERE }}"}),
    ((*ENDPOINT, "auth"), {"type": "bearer", "token": "{{ env.NOWHERE }}"}),
    ((*ENDPOINT, "auth"), {"type": "{{ env.NOWHERE }}"}),
    (("rest_api", "client", "headers"), {"a": "{{ env.NOWHERE }}"}),
    (("rest_api", "client", "auth"), {"type": "http_basic", "username": "{{ env.NOWHERE }}", "password": ""}),
    ((*ENDPOINT, "paginator"), {"type": "offset", "limit": "{{ env.NOWHERE }}"}),
    ((*ENDPOINT, "paginator"), "{{ env.NOWHERE }}"),
    ((*THINGS, "write_disposition"), "{{ env.NOWHERE }}"),
    ((*THINGS, "primary_key"), "{{ env.NOWHERE }}"),
    ((*THINGS, "columns"), {"id": {"data_type": "{{ env.NOWHERE }}"}}),
    ((*THINGS, "columns"), "{{ env.NOWHERE }}"),
    (("requests",), {"max_retries": "{{ env.NOWHERE }}"}),
    (("assets", "things"), {"schedule": "{{ env.NOWHERE }}"}),
    (("assets", "things"), {"tags": {"a": "{{ env.NOWHERE }}"}}),
    (("assets", "things"), {"partitions": {"type": "daily", "start_date": "{{ env.NOWHERE }}"}}),
    (("assets",), "{{ env.NOWHERE }}"),
]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(("place", "written"), UNSET)
def test_an_unset_variable_fails_the_run_and_not_the_file(
    project: Project, place: tuple[str | int, ...], written: Any
) -> None:
    document = yaml.safe_load(defs("http://127.0.0.1:1"))
    holder: Any = document["attributes"]
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = written
    with pytest.raises(SyncError) as caught:
        project.load(yaml.safe_dump(document), "things")
    facts = caught.value.facts()
    assert (caught.value.code, facts["variable"]) == ("unset_variable", "NOWHERE")
    assert facts["field"].startswith(".".join(map(str, place)))


@pytest.mark.parametrize("place", [("name",), (*THINGS, "name")])
def test_an_unset_name_has_a_stand_in(place: tuple[str | int, ...]) -> None:
    document = yaml.safe_load(defs("http://127.0.0.1:1", asset={"tags": {"a": "b"}}))
    holder: Any = document["attributes"]
    for part in place[:-1]:
        holder = holder[part]
    holder[place[-1]] = "{{ env.NO_WHERE }}"
    sync = RestApiSync.rendered(document["attributes"])
    assert "unset_no_where" in (sync.name, *sync.resource_names)


def test_an_unset_variable_of_one_resource_fails_this_resource(project: Project) -> None:
    other = {"name": "other", "endpoint": {"path": "o", "paginator": "single_page", "data_selector": "data"}}
    with answering(lambda _: PAGE) as url:
        text = defs(url, parents=(other,), params={"a": "{{ env.NOWHERE }}"})
        definitions = project.definitions(text)
        assert project.run(definitions, "other", source="api").success
        result = project.run(definitions, "things", source="api")
    metadata = metadata_of(failure_of(result))
    assert {
        ("code", "unset_variable"),
        ("fault", "config"),
        ("variable", "NOWHERE"),
        ("field", "rest_api.resources.1.endpoint.params.a"),
        ("file", str(project.defs_yaml)),
    } <= metadata


def test_auth_and_headers_are_read_when_the_run_starts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Asked] = []
    with answering(recorder(seen)) as url:
        auth = {"type": "api_key", "name": "X-Key", "location": "header", "api_key": "{{ env.KEY }}"}
        headers = {"X-Account": "a-{{ env.ACCOUNT }}"}
        text = defs(url, client={"auth": auth}, headers=headers, paginator="single_page")
        definitions = project.definitions(text)
        for key in ("first-key-of-all", "second-key-of-all"):
            monkeypatch.setenv("KEY", key)
            monkeypatch.setenv("ACCOUNT", key)
            assert project.run(definitions, "things", source="api").success
    assert [one.headers["x-key"] for one in seen] == ["first-key-of-all", "second-key-of-all"]
    assert [one.headers["x-account"] for one in seen] == ["a-first-key-of-all", "a-second-key-of-all"]


BASIC = [
    ({"username": "me"}, {"PASSWORD": "pass-word"}, "me:pass-word"),
    ({}, {"USERNAME": "sk_live_123456", "PASSWORD": "pass-word"}, "sk_live_123456:pass-word"),
    ({"password": ""}, {"USERNAME": "sk_live_123456"}, "sk_live_123456:"),
    ({"username": "{{ env.STRIPE }}", "password": ""}, {}, "sk_live_stripe:"),
    ({"username": "{{ env.OWNER }}"}, {"PASSWORD": "pass-word"}, "owner-of-rows:pass-word"),
    ({"username": "{{ env.STRIPE }}", "password": "{{ env.STRIPE }}"}, {}, "sk_live_stripe:sk_live_stripe"),
]


@pytest.mark.matrix(keep=2)
@pytest.mark.parametrize(("auth", "secrets", "sent"), BASIC)
@pytest.mark.parametrize("where", ["client", "endpoint"])
def test_http_basic(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    auth: Any,
    secrets: dict[str, str],
    sent: str,
    where: str,
) -> None:
    """Stripe takes the key as the user name, and no password."""
    monkeypatch.setenv("STRIPE", "sk_live_stripe")
    monkeypatch.setenv("OWNER", "owner-of-rows")
    for name, value in secrets.items():
        monkeypatch.setenv(f"SOURCES__API__{name}", value)
    seen: list[Asked] = []
    basic = {"type": "http_basic", **auth}
    held: dict[str, Any] = {"client": {"auth": basic}} if where == "client" else {"auth": basic}
    with answering(recorder(seen, echo=sent)) as url:
        project.load(defs(url, paginator="single_page", **held), "things")
    assert base64.b64decode(seen[0].headers["authorization"].removeprefix("Basic ")).decode() == sent
    [row] = project.query("SELECT * FROM api.things")
    assert row["echo"] == sent


@pytest.mark.parametrize(
    ("auth", "field"),
    [({}, "username"), ({"password": ""}, "username"), ({"username": "me"}, "password")],
)
def test_a_missing_part_of_http_basic_is_named(project: Project, auth: Any, field: str) -> None:
    with pytest.raises(SyncError) as caught:
        project.load(defs("http://127.0.0.1:1", client={"auth": {"type": "http_basic", **auth}}), "things")
    assert (caught.value.code, caught.value.facts()["field"]) == ("missing_secret", field)


def test_a_key_as_the_user_name_does_not_belong_in_the_file() -> None:
    auth = {"type": "http_basic", "username": "sk_live_123", "password": ""}
    with pytest.raises(ValidationError, match="`username` is a secret"):
        RestApiSync.rendered(yaml.safe_load(defs("http://x", client={"auth": auth}))["attributes"])


PARTITIONED: dict[str, Any] = {"partitions": {"type": "daily", "start_date": "2026-01-01"}}


@pytest.mark.parametrize("params", [{"a": "{% raw %}{{b}}{% endraw %}"}, {"a": "{{ env.LIMIT }}"}])
def test_braces_do_not_switch_validation_off(params: Any) -> None:
    """A partition without a cursor would hold the whole API."""
    with pytest.raises(ValidationError, match="`things` has partitions but no cursor"):
        RestApiSync.rendered(yaml.safe_load(defs("http://x", asset=PARTITIONED, params=params))["attributes"])


def test_braces_in_the_python_form_do_not_switch_validation_off() -> None:
    resource = {"name": "a", "endpoint": {"path": "a", "params": {"q": "status:{{open}}"}}}
    with pytest.raises(ValidationError, match="`a` has partitions but no cursor"):
        RestApiSync(
            name="api",
            rest_api={"client": {"base_url": "http://x"}, "resources": [resource]},
            assets={"a": PARTITIONED},
        )


def test_the_definitions_of_a_file_with_an_unset_variable_load(project: Project) -> None:
    definitions = project.definitions(defs("{{ env.NOWHERE }}", write_disposition=None))
    assert definitions.resolve_asset_graph().has(dg.AssetKey(["api", "things"]))
