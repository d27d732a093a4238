"""Mistakes in a `defs.yaml`: each error names its key, what is wrong, and what to write instead."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from analytics_assets import RestApiSync
from analytics_assets.config.models import SyncConfig
from analytics_assets.orchestration.partitions import partitions_def
from analytics_assets_tests.conftest import SHIPPED_DEFS

TRANSACTIONS = ("rest_api", "resources", 2)


def shipped() -> dict[str, Any]:
    attributes: dict[str, Any] = yaml.safe_load(SHIPPED_DEFS.read_text())["attributes"]
    return attributes


def changed(place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """The shipped attributes with the value at `place` replaced, or removed where it is `...`."""
    attributes = copy.deepcopy(shipped())
    holder: Any = attributes
    for part in place[:-1]:
        holder = holder[part]
    if value is ...:
        del holder[place[-1]]
    else:
        holder[place[-1]] = value
    return attributes


MISTAKES = [
    # The circuit breaker.
    (
        ("circuit_breaker",),
        {"cooldown_minutes": 0},
        ("circuit_breaker", "cooldown_minutes"),
        "greater than 0",
    ),
    (
        ("circuit_breaker",),
        {"cooldown_minutes": 60, "max_cooldown_minutes": 5},
        ("circuit_breaker", "max_cooldown_minutes"),
        "max_cooldown_minutes is less than cooldown_minutes (60). Raise it, or lower cooldown_minutes.",
    ),
    (
        ("circuit_breaker",),
        {"cooldown": 5},
        ("circuit_breaker", "cooldown"),
        "Did you mean `cooldown_minutes`?",
    ),
    (
        ("assets", "transactions", "catch_up"),
        -1,
        ("assets", "transactions", "catch_up"),
        "greater than or equal to 0",
    ),
    (("alerts",), {"url": "x"}, ("alerts", "url"), "unknown key `url`. The keys here are dagster_url, "),
    (
        ("rest_api", "resources", 1, "name"),
        "circuit",
        ("rest_api", "resources", 1, "name"),
        "the name `circuit` is reserved for the circuit breaker. Rename the resource.",
    ),
    (
        ("rest_api", "resources", 1, "name"),
        "circuit_open",
        ("rest_api", "resources", 1, "name"),
        "the name `circuit_open` is reserved for the circuit breaker. Rename the resource.",
    ),
    (
        ("alerts",),
        {"dagster_url": "dagster.example.com"},
        ("alerts", "dagster_url"),
        "this is not a whole URL. Copy it from the browser, with http:// or https://.",
    ),
    (
        ("assets", "customers", "catch_up"),
        3,
        ("assets", "customers", "catch_up"),
        "`catch_up` needs partitions, and this asset has none. Remove it, or set `partitions`.",
    ),
    *(
        (("assets", "customers", name), value, ("assets", "customers", name), f"`{name}` needs partitions")
        for name, value in (
            ("lookback", 3),
            ("backfill_policy", {"max_partitions_per_run": 5}),
        )
    ),
    (
        ("assets", "transactions", "max_removed"),
        "lots",
        ("assets", "transactions", "max_removed"),
        "this is neither a number of rows nor a share of them. Write 100, or 5%, for example.",
    ),
    (
        ("assets", "transactions", "backfill_policy"),
        {"max_partitions_per_run": 0},
        ("assets", "transactions", "backfill_policy", "max_partitions_per_run"),
        "greater than or equal to 1",
    ),
    # The destination.
    (
        ("destination",),
        {"accept_missing_guarantee": True},
        ("destination", "accept_missing_guarantee"),
        "Did you mean `accept_missing_guarantees`?",
    ),
    (
        ("destination",),
        {"accept_missing_guarantees": "maybe"},
        ("destination", "accept_missing_guarantees"),
        "Input should be a valid boolean",
    ),
    (("destination",), "duckdb", ("destination",), "Input should be a valid dictionary"),
    # A typo, an unknown key.
    (("requsts",), {}, ("requsts",), "unknown key `requsts`. Did you mean `requests`?"),
    (("requests", "max_retris"), 3, ("requests", "max_retris"), "Did you mean `max_retries`?"),
    (("assets", "events", "schedul"), "x", ("assets", "events", "schedul"), "Did you mean `schedule`?"),
    (
        ("assets", "events", "cron"),
        "x",
        ("assets", "events", "cron"),
        "unknown key `cron`. The keys here are group_name, key_prefix",
    ),
    (
        ("assets", "event"),
        {},
        ("assets", "event"),
        "no resource `event` in rest_api.resources. Did you mean `events`?",
    ),
    (("rest_api", "client", "bas_url"), "x", ("rest_api", "client", "bas_url"), "Did you mean `base_url`?"),
    ((*TRANSACTIONS, "endpiont"), {}, (*TRANSACTIONS, "endpiont"), "Did you mean `endpoint`?"),
    (
        (*TRANSACTIONS, "endpoint", "pth"),
        "x",
        (*TRANSACTIONS, "endpoint", "pth"),
        "unknown key `pth`. Did you mean `path`?",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "cursor_pth"),
        "x",
        (*TRANSACTIONS, "endpoint", "incremental", "cursor_pth"),
        "Did you mean `cursor_path`?",
    ),
    (
        ("rest_api", "resource_defaults", "endpoint", "paginator", "limt"),
        5,
        ("rest_api", "resource_defaults", "endpoint", "paginator", "limt"),
        "Did you mean `limit`?",
    ),
    (
        ("rest_api", "resource_defaults", "endpoint", "paginator", "type"),
        "offst",
        ("rest_api", "resource_defaults", "endpoint", "paginator", "type"),
        "`type` is `offst`, and dlt knows only json_link, json_response, header_link, header_cursor, auto, "
        "single_page, cursor, offset, page_number. Did you mean `offset`?",
    ),
    (
        ("rest_api", "client", "auth", "location"),
        "qery",
        ("rest_api", "client", "auth", "location"),
        "`location` is `qery`, and dlt knows only header, cookie, query, param. Did you mean `query`?",
    ),
    (
        (*TRANSACTIONS, "write_disposition"),
        "mrge",
        (*TRANSACTIONS, "write_disposition"),
        "transactions: `write_disposition` is `mrge`, and dlt knows only skip, append, replace, merge. Did you mean "
        "`merge`?",
    ),
    # Columns.
    (
        (*TRANSACTIONS, "columns", "note", "data_typ"),
        "text",
        (*TRANSACTIONS, "columns", "note", "data_typ"),
        "Did you mean `data_type`?",
    ),
    (
        (*TRANSACTIONS, "columns", "note", "data_type"),
        "string",
        (*TRANSACTIONS, "columns", "note", "data_type"),
        "`data_type` is `string`, and dlt knows only text, double, bool, timestamp",
    ),
    (
        (*TRANSACTIONS, "columns", "buyer.name"),
        {"data_type": "text"},
        (*TRANSACTIONS, "columns", "buyer.name"),
        "`buyer.name` is not the name of a column. Use its name in the warehouse, where two underscores join nested "
        "fields: `buyer__name`.",
    ),
    (
        (*TRANSACTIONS, "columns", "items[*].price"),
        {},
        (*TRANSACTIONS, "columns", "items[*].price"),
        "two underscores join nested fields: `items__price`.",
    ),
    # Resources.
    (
        (*TRANSACTIONS, "name"),
        "events",
        ("rest_api", "resources", 3, "name"),
        "two resources named `events`. Rename one",
    ),
    (
        (*TRANSACTIONS, "name"),
        "v1/sales",
        (*TRANSACTIONS, "name"),
        "`v1/sales` cannot be the name of a table and an asset. Use lower-case letters, digits and single underscores, "
        "starting with a letter. Put the URL in endpoint.path.",
    ),
    ((*TRANSACTIONS, "name"), ..., TRANSACTIONS, "the resource has no `name`. Add one."),
    (
        ("rest_api", "resources"),
        [],
        ("rest_api", "resources"),
        "the list of resources is empty. Add at least one",
    ),
    (("rest_api", "resources"), ..., ("rest_api",), "required keys are missing: 'resources'. Add them."),
    (
        ("name",),
        "temp",
        ("name",),
        "`temp` is a name that databases reserve. Use another name, such as `temp_api`",
    ),
    (("name",), "information_schema", ("name",), "is a name that databases reserve"),
    (
        ("name",),
        "Analytics API",
        ("name",),
        "`Analytics API` cannot be the name of a dataset and of assets. Use lower-case letters",
    ),
    # Partitions.
    (
        (*TRANSACTIONS, "endpoint", "incremental"),
        ...,
        ("assets", "transactions", "partitions"),
        "`transactions` has partitions but no cursor. Give the resource `endpoint.incremental` with a `cursor_path`",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "initial_value"),
        "2026-01-01",
        ("assets", "transactions", "partitions"),
        "each partition sets initial_value. Remove initial_value from incremental.",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "cursor_path"),
        "$.changes[*].at",
        ("assets", "transactions", "partitions"),
        "its cursor_path is not the name of a field. Use a field, or fields joined by dots.",
    ),
    (
        (*TRANSACTIONS, "write_disposition"),
        "append",
        ("assets", "transactions", "partitions"),
        "to load one again would not replace its rows. Set `write_disposition: merge` and a `primary_key`.",
    ),
    (
        ("assets", "transactions", "partitions", "start_date"),
        "2126-01-01",
        ("assets", "transactions", "partitions", "start_date"),
        "start_date is in the future, so there is no partition to load. Use a past date.",
    ),
    (
        ("assets", "transactions", "partitions", "type"),
        "yearly",
        ("assets", "transactions", "partitions", "type"),
        "Input should be 'hourly', 'daily', 'weekly' or 'monthly'",
    ),
    (
        ("assets", "transactions", "partitions"),
        {"type": "monthly", "start_date": "2026-01-15"},
        ("assets", "transactions", "partitions", "start_date"),
        "start_date is not the start of a month in UTC, so the rows until the next one would never be loaded. "
        "Use 2026-01-01.",
    ),
    (
        ("assets", "transactions", "partitions"),
        {"type": "weekly", "start_date": "2026-01-01"},
        ("assets", "transactions", "partitions", "start_date"),
        "start_date is not the start of a week in UTC, so the rows until the next one would never be loaded. "
        "Use 2025-12-28.",
    ),
    (
        ("assets", "transactions", "partitions", "start_date"),
        "2026-01-01T10:30",
        ("assets", "transactions", "partitions", "start_date"),
        "start_date is not the start of a day in UTC, so the rows until the next one would never be loaded. "
        "Use 2026-01-01.",
    ),
    (
        (*TRANSACTIONS, "columns", "updated_at", "data_type"),
        "text",
        ("assets", "transactions", "partitions"),
        "the cursor `updated_at` is text. Declare it as timestamp or date",
    ),
    (
        (*TRANSACTIONS, "columns", "updated_at", "data_type"),
        "bigint",
        ("assets", "transactions", "partitions"),
        "the cursor `updated_at` is a bigint. Set cursor_unit to what it counts since 1970: seconds, milliseconds or "
        "microseconds",
    ),
    (
        ("assets", "transactions", "partitions", "cursor_unit"),
        "seconds",
        ("assets", "transactions", "partitions"),
        "the cursor `updated_at` is a timestamp. Remove cursor_unit, or declare the cursor as bigint",
    ),
    (
        ("assets", "transactions", "partitions", "cursor_unit"),
        "days",
        ("assets", "transactions", "partitions", "cursor_unit"),
        "Input should be 'seconds', 'milliseconds' or 'microseconds'",
    ),
    (
        ("assets", "transactions", "partitions", "timezone"),
        "europe/berlin",
        ("assets", "transactions", "partitions", "timezone"),
        "there is no time zone `europe/berlin`. Did you mean `Europe/Berlin`?",
    ),
    (
        ("assets", "transactions", "partitions", "timezone"),
        "UTC+2",
        ("assets", "transactions", "partitions", "timezone"),
        "there is no time zone `UTC+2`. Use an IANA name, such as Europe/Berlin.",
    ),
    (
        ("assets", "transactions", "partitions"),
        {"type": "daily", "start_date": "2026-01-01T00:00Z", "timezone": "Europe/Berlin"},
        ("assets", "transactions", "partitions", "start_date"),
        "start_date is not the start of a day in Europe/Berlin, so the rows until the next one would never be loaded. "
        "Use 2026-01-01.",
    ),
    (
        ("assets", "transactions", "partitions", "end_offset"),
        -1,
        ("assets", "transactions", "partitions", "end_offset"),
        "greater than or equal to 0",
    ),
    # Combinations that are not possible.
    (
        (*TRANSACTIONS, "columns", "_dlt_id"),
        {"data_type": "text"},
        TRANSACTIONS,
        "the declared column `_dlt_id` is one of dlt's own. Remove it",
    ),
    (
        (*TRANSACTIONS, "columns", "updatedAt"),
        {"data_type": "timestamp"},
        TRANSACTIONS,
        "the declared columns `updated_at` and `updatedAt` are one column, `updated_at`. Remove one",
    ),
    (
        TRANSACTIONS,
        {
            "name": "transactions",
            "primary_key": "id",
            "write_disposition": "merge",
            "endpoint": {"incremental": {"cursor_path": "meta.at"}},
            "columns": {"meta": {"data_type": "json"}},
        },
        TRANSACTIONS,
        "the cursor `meta.at` is inside `meta`, which is declared and so becomes one column. Declare `meta__at`",
    ),
    (
        (*TRANSACTIONS, "write_disposition"),
        {"disposition": "merge", "strategy": "upsrt"},
        (*TRANSACTIONS, "write_disposition", "strategy"),
        "`strategy` is `upsrt`, and dlt knows only delete-insert, scd2, upsert, insert-only, cdc. Did you mean "
        "`upsert`?",
    ),
    (
        (*TRANSACTIONS, "write_disposition"),
        {"disposition": "merge", "strategy": "cdc"},
        TRANSACTIONS,
        "each sync fetches some of the rows, and the strategy `cdc` would delete all others. Set a `merge_key`",
    ),
    (
        (*TRANSACTIONS, "write_disposition"),
        {"disposition": "merge", "strategy": "scd2"},
        TRANSACTIONS,
        "`scd2` would end the validity of all others. Set a `merge_key`",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "range_start"),
        "open",
        ("assets", "transactions", "partitions"),
        "includes its start and excludes its end, and range_start contradicts that. "
        "Remove range_start from incremental. For late rows, set `lookback`.",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "range_end"),
        "closed",
        ("assets", "transactions", "partitions"),
        "includes its start and excludes its end, and range_end contradicts that. "
        "Remove range_end from incremental. For late rows, set `lookback`.",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "lag"),
        86400,
        ("assets", "transactions", "partitions"),
        "includes its start and excludes its end, and lag contradicts that. "
        "Remove lag from incremental. For late rows, set `lookback`.",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "last_value_func"),
        "min",
        ("assets", "transactions", "partitions"),
        "includes its start and excludes its end, and last_value_func contradicts that. "
        "Remove last_value_func from incremental. For late rows, set `lookback`.",
    ),
    (
        ("assets", "transactions", "max_removed"),
        0.2,
        ("assets", "transactions", "max_removed"),
        "this is neither a number of rows nor a share of them. Write 100, or 5%, for example.",
    ),
    (
        ("assets", "transactions", "max_quarantined"),
        0.2,
        ("assets", "transactions", "max_quarantined"),
        "this is neither a number of rows nor a share of them. Write 100, or 5%, for example.",
    ),
    (
        ("assets", "transactions", "lookback"),
        True,
        ("assets", "transactions", "lookback"),
        "`yes`, `no`, `true` and `false` are not numbers. Write a number.",
    ),
    (
        ("assets", "transactions", "catch_up"),
        True,
        ("assets", "transactions", "catch_up"),
        "`yes`, `no`, `true` and `false` are not numbers. Write a number.",
    ),
    (
        ("assets", "transactions", "max_removed"),
        True,
        ("assets", "transactions", "max_removed"),
        "`yes`, `no`, `true` and `false` are not numbers. Write a number.",
    ),
    (
        ("assets", "transactions", "partitions", "start_date"),
        20260101,
        ("assets", "transactions", "partitions", "start_date"),
        'a number is not a date. Write a date, such as "2026-01-01".',
    ),
    (
        ("assets", "transactions", "partitions", "start_date"),
        "0001-01-01",
        ("assets", "transactions", "partitions", "start_date"),
        "start_date is before 1970",
    ),
    (
        (*TRANSACTIONS, "selected"),
        False,
        ("assets", "transactions"),
        "`transactions` has `selected: false`, so it is not an asset. Remove this block, or `selected`.",
    ),
    (
        ("assets", "events", "tags"),
        {"a b": "x"},
        ("assets", "events", "tags", "a b"),
        "a b",
    ),
    (
        ("assets", "events", "tags"),
        {"a": "x y!"},
        ("assets", "events", "tags", "a"),
        "x y!",
    ),
    (
        ("assets", "events", "child_tables"),
        ["Items"],
        ("assets", "events", "child_tables", 0),
        "`Items` cannot be the name of a child table. Write the name of the list as in the warehouse",
    ),
    (
        ("assets", "events", "child_tables"),
        ["items", "items"],
        ("assets", "events", "child_tables", 1),
        "`items` is listed twice. Remove one.",
    ),
    (
        ("assets", "transactions", "child_tables"),
        ["status"],
        ("assets", "transactions", "child_tables", 0),
        "`status` is a declared column, so dlt makes no table of it. Remove it from `columns`, or here.",
    ),
    (
        (*TRANSACTIONS, "merge_key"),
        "customer_id",
        TRANSACTIONS,
        "the resource is partitioned, and its `merge_key` would delete rows of other partitions. Remove it",
    ),
    (
        (*TRANSACTIONS, "table_name"),
        "customers",
        TRANSACTIONS,
        "`customers` has the same table, `customers`. Give each its own `table_name`",
    ),
    (
        (*TRANSACTIONS, "table_name"),
        "events__quarantine",
        TRANSACTIONS,
        "the table name `events__quarantine` is reserved. Use another",
    ),
    (
        (*TRANSACTIONS, "primary_key"),
        "buyer.id",
        (*TRANSACTIONS, "primary_key"),
        "`buyer.id` is not the name of a column. Use its name in the warehouse",
    ),
    (
        ("rest_api", "resource_defaults", "primary_key"),
        ["buyer.id"],
        ("rest_api", "resource_defaults", "primary_key"),
        "`buyer.id` is not the name of a column. Use its name in the warehouse",
    ),
    (
        ("assets", "events", "rename"),
        {"buyer.": "x"},
        ("assets", "events", "rename", "buyer."),
        "the name of a field is empty. Write the name that the API sends",
    ),
    # Owners, URL and headers.
    (
        ("assets", "events", "owners"),
        ["bob"],
        ("assets", "events", "owners", 0),
        "Dagster does not accept the owner `bob`. Write an e-mail address, or `team:bob`.",
    ),
    (
        ("rest_api", "client", "base_url"),
        "example.com",
        ("rest_api", "client", "base_url"),
        "`example.com` is not a URL. Write https:// or http://, then the host.",
    ),
    (
        ("rest_api", "client", "headers"),
        {"X-Api-Key": "{{ env.KEY }}"},
        ("rest_api", "client", "headers", "X-Api-Key"),
        "`auth: {type: api_key, name: X-Api-Key, location: header}`",
    ),
    (
        ("rest_api", "resource_defaults", "endpoint", "headers"),
        {"Authorization": "Bearer x"},
        ("rest_api", "resource_defaults", "endpoint", "headers", "Authorization"),
        "`Authorization` looks like a secret, and secrets do not belong in this file. Write `{{ env.AUTHORIZATION }}`",
    ),
    # Requests.
    (("requests", "max_retries"), -1, ("requests", "max_retries"), "greater than or equal to 0"),
    (("requests", "backoff_factor"), "fast", ("requests", "backoff_factor"), "should be a valid number"),
    # Mistakes that only dlt or Dagster finds.
    (
        (*TRANSACTIONS, "endpoint", "path"),
        "/v1/{account}/transactions",
        (*TRANSACTIONS, "endpoint", "path"),
        "transactions: endpoint.path has `{account}`, and endpoint.params has no `account`. Add it there",
    ),
    (
        ("assets", "events", "schedule"),
        "every day",
        ("assets", "events", "schedule"),
        "`every day` is not a cron expression. Write one such as `0 2 * * *`, which is daily at 02:00.",
    ),
]


@pytest.mark.parametrize(("place", "value", "location", "sentence"), MISTAKES)
def test_a_mistake_is_reported_at_its_key(
    place: tuple[str | int, ...], value: Any, location: tuple[str | int, ...], sentence: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**changed(place, value))
    [error] = caught.value.errors()
    assert error["loc"] == location
    assert sentence in error["msg"]
    assert "\n" not in error["msg"]


SECRETS = [
    {"type": "api_key", "name": "api_key", "location": "query", "api_key": "s3cr3t-value"},
    {"type": "bearer", "token": "s3cr3t-value"},
    {"token": "s3cr3t-value"},
    {"type": "http_basic", "username": "me", "password": "s3cr3t-value"},
    {"type": "oauth2_client_credentials", "access_token_url": "http://x", "client_secret": "s3cr3t-value"},
]


@pytest.mark.parametrize("auth", SECRETS)
def test_a_secret_in_the_file_is_refused_and_not_repeated(auth: dict[str, str]) -> None:
    [field] = [name for name, value in auth.items() if value == "s3cr3t-value"]
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**changed(("rest_api", "client", "auth"), auth))
    [error] = caught.value.errors()
    assert error["loc"] == ("rest_api", "client", "auth", field)
    assert f"Remove it here, and set SOURCES__ANALYTICS_API__{field.upper()}" in error["msg"]
    assert "s3cr3t-value" not in str(caught.value)


def test_the_shipped_file_is_valid_and_the_config_stays_as_written() -> None:
    written = shipped()
    config = RestApiSync(**written)
    assert config.rest_api == shipped()["rest_api"]
    assert config.rest_api == written["rest_api"]
    assert list(config.resource_names) == ["customers", "products", "transactions", "events"]


@pytest.mark.parametrize(
    ("place", "template"),
    [
        (("name",), "{{ env.NAME }}"),
        (("assets",), "{{ env.ASSETS }}"),
        (("rest_api",), "{{ env.REST_API }}"),
        (("requests", "max_retries"), "{{ env.RETRIES }}"),
        (("destination",), {"accept_missing_guarantees": "{{ env.ACCEPT }}"}),
        (("assets", "events", "schedule"), "{{ env.CRON }}"),
        (("assets", "transactions", "partitions", "start_date"), "{{ env.START }}"),
        (("assets", "transactions", "partitions", "timezone"), "{{ env.ZONE }}"),
        (("assets", "transactions", "partitions", "end_offset"), "{{ env.OFFSET }}"),
        (("rest_api", "resource_defaults", "endpoint", "paginator", "limit"), "{{ env.LIMIT }}"),
        (("rest_api", "resource_defaults", "endpoint", "paginator", "type"), "{{ env.TYPE }}"),
        ((*TRANSACTIONS, "write_disposition"), "{{ env.DISPOSITION }}"),
    ],
)
def test_a_template_may_stand_for_any_value(place: tuple[str | int, ...], template: Any) -> None:
    """The file loads even if the variable is not set, and a run then fails with the variable."""
    sync = RestApiSync.rendered(changed(place, template))
    [unset] = sync.unset
    assert unset.variable in str(template)


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("seed", ["0", "4", "6"])
def test_the_error_names_the_key_that_no_alternative_has(seed: str) -> None:
    """dlt lists the keys of several alternatives, in an order that differs between processes."""
    paginator = {"type": "cursor", "cursor_path": "next", "curser_param": "cursor"}
    program = (
        "from analytics_assets.config.models import SyncConfig\n"
        f"paginator = {paginator!r}\n"
        "client = {'base_url': 'https://example.com', 'paginator': paginator}\n"
        "try: SyncConfig(name='a', rest_api={'client': client, 'resources': ['b']})\n"
        "except ValueError as error: print(error.errors()[0]['msg'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "unknown key `curser_param`. Did you mean `cursor_param`?" in said


@pytest.mark.parametrize(
    ("kind", "written", "start"),
    [
        ("daily", "2026-01-01", "2026-01-01T00:00:00+01:00"),
        ("daily", "2025-12-31T23:00Z", "2026-01-01T00:00:00+01:00"),
        ("weekly", "2025-08-03", "2025-08-03T00:00:00+02:00"),
        ("hourly", "2025-10-26T02:00+01:00", "2025-10-26T02:00:00+01:00"),  # the second of two resources
    ],
)
def test_a_start_date_is_in_its_time_zone(kind: str, written: str, start: str) -> None:
    partitions = {"type": kind, "start_date": written, "timezone": "Europe/Berlin"}
    config = SyncConfig(**changed(("assets", "transactions", "partitions"), partitions)).asset("transactions")
    definition = partitions_def(config.partitions)
    assert definition is not None
    assert definition.start.isoformat() == start


@pytest.mark.parametrize("disposition", ["merge", {"disposition": "merge", "strategy": "delete-insert"}])
def test_merge_may_be_written_short_or_long(disposition: Any) -> None:
    SyncConfig(**changed((*TRANSACTIONS, "write_disposition"), disposition))


def test_missing_guarantees_are_accepted_only_where_the_file_says_so() -> None:
    assert not SyncConfig(**shipped()).destination.accept_missing_guarantees
    accepting = changed(("destination",), {"accept_missing_guarantees": True})
    assert SyncConfig(**accepting).destination.accept_missing_guarantees


def test_the_python_form_is_the_same_object() -> None:
    sync = RestApiSync(
        name="tickets",
        rest_api={"client": {"base_url": "https://api.example.com"}, "resources": ["tickets", "users"]},
    )
    assert list(sync.resource_names) == ["tickets", "users"]
