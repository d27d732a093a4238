"""Bad input in a `defs.yaml`: each mistake is told at its key, in a sentence that names the cure."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
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
        "it is less than cooldown_minutes (60): raise it, or lower the other",
    ),
    (
        ("circuit_breaker",),
        {"cooldown": 5},
        ("circuit_breaker", "cooldown"),
        "did you mean `cooldown_minutes`?",
    ),
    (
        ("assets", "transactions", "catch_up"),
        -1,
        ("assets", "transactions", "catch_up"),
        "greater than or equal to 0",
    ),
    (("alerts",), {"url": "x"}, ("alerts", "url"), "the keys here are dagster_url"),
    (
        ("rest_api", "resources", 1, "name"),
        "circuit",
        ("rest_api", "resources", 1, "name"),
        "`circuit` is a name of the circuit breaker's: name the resource otherwise",
    ),
    (
        ("rest_api", "resources", 1, "name"),
        "circuit_open",
        ("rest_api", "resources", 1, "name"),
        "`circuit_open` is a name of the circuit breaker's: name the resource otherwise",
    ),
    (
        ("alerts",),
        {"dagster_url": "dagster.example.com"},
        ("alerts", "dagster_url"),
        "write it as it is in the browser, with http:// or https://",
    ),
    (
        ("assets", "customers", "catch_up"),
        3,
        ("assets", "customers", "catch_up"),
        "it is about partitions, and there are none: remove it, or set `partitions`",
    ),
    *(
        (("assets", "customers", name), value, ("assets", "customers", name), "it is about partitions")
        for name, value in (
            ("lookback", 3),
            ("max_removed", "10%"),
            ("backfill_policy", {"max_partitions_per_run": 5}),
        )
    ),
    (
        ("assets", "transactions", "max_removed"),
        "lots",
        ("assets", "transactions", "max_removed"),
        "write a number of rows, such as 100, or a share of them, such as 5%",
    ),
    (
        ("assets", "transactions", "backfill_policy"),
        {"max_partitions_per_run": 0},
        ("assets", "transactions", "backfill_policy", "max_partitions_per_run"),
        "greater than or equal to 1",
    ),
    # A typo, an unknown key.
    (("requsts",), {}, ("requsts",), "unknown key `requsts`; did you mean `requests`?"),
    (("requests", "max_retris"), 3, ("requests", "max_retris"), "did you mean `max_retries`?"),
    (("assets", "events", "schedul"), "x", ("assets", "events", "schedul"), "did you mean `schedule`?"),
    (
        ("assets", "events", "cron"),
        "x",
        ("assets", "events", "cron"),
        "the keys here are description, owners",
    ),
    (
        ("assets", "event"),
        {},
        ("assets", "event"),
        "no resource `event` in rest_api.resources; did you mean `events`?",
    ),
    (("rest_api", "client", "bas_url"), "x", ("rest_api", "client", "bas_url"), "did you mean `base_url`?"),
    ((*TRANSACTIONS, "endpiont"), {}, (*TRANSACTIONS, "endpiont"), "did you mean `endpoint`?"),
    (
        (*TRANSACTIONS, "endpoint", "pth"),
        "x",
        (*TRANSACTIONS, "endpoint", "pth"),
        "unknown key `pth`; did you mean `path`?",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "cursor_pth"),
        "x",
        (*TRANSACTIONS, "endpoint", "incremental", "cursor_pth"),
        "did you mean `cursor_path`?",
    ),
    (
        ("rest_api", "resource_defaults", "endpoint", "paginator", "limt"),
        5,
        ("rest_api", "resource_defaults", "endpoint", "paginator", "limt"),
        "did you mean `limit`?",
    ),
    (
        ("rest_api", "resource_defaults", "endpoint", "paginator", "type"),
        "offst",
        ("rest_api", "resource_defaults", "endpoint", "paginator", "type"),
        "is not one of: ['json_link'",
    ),
    (
        ("rest_api", "client", "auth", "location"),
        "qery",
        ("rest_api", "client", "auth", "location"),
        "is not one of: ['header', 'cookie', 'query', 'param']",
    ),
    (
        (*TRANSACTIONS, "write_disposition"),
        "mrge",
        (*TRANSACTIONS, "write_disposition"),
        "'append', 'replace'",
    ),
    # Columns.
    (
        (*TRANSACTIONS, "columns", "note", "data_typ"),
        "text",
        (*TRANSACTIONS, "columns", "note", "data_typ"),
        "did you mean `data_type`?",
    ),
    (
        (*TRANSACTIONS, "columns", "note", "data_type"),
        "string",
        (*TRANSACTIONS, "columns", "note", "data_type"),
        "unknown data_type `string`",
    ),
    (
        (*TRANSACTIONS, "columns", "buyer.name"),
        {"data_type": "text"},
        (*TRANSACTIONS, "columns", "buyer.name"),
        "no column of the table is reached by `buyer.name`: name the column as it is in the warehouse, nested "
        "fields joined by two underscores, such as `buyer__name`",
    ),
    (
        (*TRANSACTIONS, "columns", "items[*].price"),
        {},
        (*TRANSACTIONS, "columns", "items[*].price"),
        "such as `items__price`",
    ),
    # Resources.
    (
        (*TRANSACTIONS, "name"),
        "events",
        ("rest_api", "resources", 3, "name"),
        "two resources named `events`: rename one",
    ),
    ((*TRANSACTIONS, "name"), "v1/sales", (*TRANSACTIONS, "name"), "put the URL in endpoint.path"),
    ((*TRANSACTIONS, "name"), ..., TRANSACTIONS, "the resource has no `name`"),
    (("rest_api", "resources"), [], ("rest_api", "resources"), "name at least one endpoint to load"),
    (("rest_api", "resources"), ..., ("rest_api",), "missing 'resources'"),
    (("name",), "Analytics API", ("name",), "use lower-case letters, digits and single underscores"),
    # Partitions.
    (
        (*TRANSACTIONS, "endpoint", "incremental"),
        ...,
        ("assets", "transactions", "partitions"),
        "`transactions` is partitioned but has no cursor: give the resource `endpoint.incremental` with a",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "initial_value"),
        "2026-01-01",
        ("assets", "transactions", "partitions"),
        "each partition sets initial_value: remove it from incremental",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "cursor_path"),
        "$.changes[*].at",
        ("assets", "transactions", "partitions"),
        "its cursor_path must be a field, or fields joined by dots",
    ),
    (
        (*TRANSACTIONS, "write_disposition"),
        "append",
        ("assets", "transactions", "partitions"),
        "set `write_disposition: merge` and a `primary_key`",
    ),
    (
        ("assets", "transactions", "partitions", "start_date"),
        "2126-01-01",
        ("assets", "transactions", "partitions", "start_date"),
        "start_date is in the future: there is no partition to load yet; use a past date",
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
        "monthly partitions start at whole periods, and rows before the first would never be loaded: use 2026-01-01",
    ),
    (
        ("assets", "transactions", "partitions"),
        {"type": "weekly", "start_date": "2026-01-01"},
        ("assets", "transactions", "partitions", "start_date"),
        "use 2025-12-28",
    ),
    (
        ("assets", "transactions", "partitions", "start_date"),
        "2026-01-01T10:30",
        ("assets", "transactions", "partitions", "start_date"),
        "use 2026-01-01",
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
        "there is no time zone `europe/berlin`; did you mean `Europe/Berlin`?",
    ),
    (
        ("assets", "transactions", "partitions", "timezone"),
        "UTC+2",
        ("assets", "transactions", "partitions", "timezone"),
        "there is no time zone `UTC+2`: use an IANA name, such as Europe/Berlin",
    ),
    (
        ("assets", "transactions", "partitions"),
        {"type": "daily", "start_date": "2026-01-01T00:00Z", "timezone": "Europe/Berlin"},
        ("assets", "transactions", "partitions", "start_date"),
        "daily partitions start at whole periods, and rows before the first would never be loaded: use 2026-01-01",
    ),
    (
        ("assets", "transactions", "partitions", "end_offset"),
        -1,
        ("assets", "transactions", "partitions", "end_offset"),
        "greater than or equal to 0",
    ),
    # What does not go together.
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
        "`strategy=upsrt` is not one of: ['delete-insert', 'scd2', 'upsert', 'insert-only', 'cdc']",
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
        "its start in it and its end not: remove range_start from incremental; `lookback` is for",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "range_end"),
        "closed",
        ("assets", "transactions", "partitions"),
        "its start in it and its end not: remove range_end from incremental; `lookback` is for",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "lag"),
        86400,
        ("assets", "transactions", "partitions"),
        "a window of its own, its start in it and its end not: remove lag from incremental; `lookback` is for rows",
    ),
    (
        (*TRANSACTIONS, "endpoint", "incremental", "last_value_func"),
        "min",
        ("assets", "transactions", "partitions"),
        "its start in it and its end not: remove last_value_func from incremental; `lookback` is for",
    ),
    (
        ("assets", "transactions", "max_removed"),
        0.2,
        ("assets", "transactions", "max_removed"),
        "write a number of rows, such as 100, or a share of them, such as 5%",
    ),
    (
        ("assets", "transactions", "max_quarantined"),
        0.2,
        ("assets", "transactions", "max_quarantined"),
        "write a number of rows, such as 100, or a share of them, such as 5%",
    ),
    (
        ("assets", "transactions", "lookback"),
        True,
        ("assets", "transactions", "lookback"),
        "write a number; `yes` and `true` are none",
    ),
    (
        ("assets", "transactions", "catch_up"),
        True,
        ("assets", "transactions", "catch_up"),
        "write a number; `yes` and `true` are none",
    ),
    (
        ("assets", "transactions", "max_removed"),
        True,
        ("assets", "transactions", "max_removed"),
        "write a number; `yes` and `true` are none",
    ),
    (
        ("assets", "transactions", "partitions", "start_date"),
        20260101,
        ("assets", "transactions", "partitions", "start_date"),
        'write a date, such as "2026-01-01"',
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
        "`transactions` has `selected: false`, so it is no asset",
    ),
    (
        ("assets", "events", "tags"),
        {"a b": "x"},
        ("assets", "events", "tags"),
        "a b",
    ),
    (
        ("assets", "events", "tags"),
        {"a": "x y!"},
        ("assets", "events", "tags"),
        "x y!",
    ),
    (
        ("assets", "events", "child_tables"),
        ["Items"],
        ("assets", "events", "child_tables", 0),
        "there is no child table `Items`: name the list as in the warehouse",
    ),
    (
        ("assets", "events", "child_tables"),
        ["items", "items"],
        ("assets", "events", "child_tables", 1),
        "`items` is there twice",
    ),
    (
        ("assets", "transactions", "child_tables"),
        ["status"],
        ("assets", "transactions", "child_tables", 0),
        "`status` is declared, and so a column",
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
        "no column of the table is reached by `buyer.id`: name the column as it is in the warehouse",
    ),
    (
        ("rest_api", "resource_defaults", "primary_key"),
        ["buyer.id"],
        ("rest_api", "resource_defaults", "primary_key"),
        "no column of the table is reached by `buyer.id`: name the column as it is in the warehouse",
    ),
    # Who owns it, and where it is.
    (
        ("assets", "events", "owners"),
        ["bob"],
        ("assets", "events", "owners", 0),
        "or `team:bob`",
    ),
    (
        ("rest_api", "client", "base_url"),
        "example.com",
        ("rest_api", "client", "base_url"),
        "is no URL: write https://",
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
        "`Authorization` carries a secret",
    ),
    # Requests.
    (("requests", "max_retries"), -1, ("requests", "max_retries"), "greater than or equal to 0"),
    (("requests", "backoff_factor"), "fast", ("requests", "backoff_factor"), "should be a valid number"),
    # What only dlt or Dagster can tell.
    (
        (*TRANSACTIONS, "endpoint", "path"),
        "/v1/{account}/transactions",
        ("rest_api",),
        "dlt cannot build this source: The path '/v1/{account}/transactions'",
    ),
    (
        ("assets", "events", "schedule"),
        "every day",
        ("assets", "events", "schedule"),
        "`every day` is no cron expression; daily at 02:00 is `0 2 * * *`",
    ),
]


@pytest.mark.parametrize(("place", "value", "told_at", "sentence"), MISTAKES)
def test_a_mistake_is_told_at_its_key(
    place: tuple[str | int, ...], value: Any, told_at: tuple[str | int, ...], sentence: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**changed(place, value))
    [error] = caught.value.errors()
    assert error["loc"] == told_at
    assert sentence in error["msg"]
    assert "\n" not in error["msg"]


SECRETS = [
    {"type": "api_key", "name": "api_key", "location": "query", "api_key": "s3cr3t-value"},
    {"type": "bearer", "token": "s3cr3t-value"},
    {"token": "s3cr3t-value"},
    {"type": "http_basic", "username": "me", "password": "s3cr3t-value"},
    {"type": "oauth2_client_credentials", "access_token_url": "http://x", "client_id": "s3cr3t-value"},
]


@pytest.mark.parametrize("auth", SECRETS)
def test_a_secret_in_the_file_is_refused_and_not_repeated(auth: dict[str, str]) -> None:
    [field] = [name for name, value in auth.items() if value == "s3cr3t-value"]
    with pytest.raises(ValidationError) as caught:
        RestApiSync(**changed(("rest_api", "client", "auth"), auth))
    [error] = caught.value.errors()
    assert error["loc"] == ("rest_api", "client", "auth", field)
    assert f"as SOURCES__<NAME>__{field.upper()}" in error["msg"]
    assert "s3cr3t-value" not in str(caught.value)


def test_the_shipped_file_is_right_and_the_config_is_left_as_written() -> None:
    written = shipped()
    config = RestApiSync(**written)
    assert config.rest_api == shipped()["rest_api"]
    assert config.rest_api == written["rest_api"]
    assert list(config.resource_names) == ["customers", "products", "transactions", "events"]


@pytest.mark.parametrize(
    ("place", "template"),
    [
        (("name",), "{{ env.NAME }}"),
        (("assets",), "{{ assets }}"),
        (("rest_api",), "{{ rest_api }}"),
        (("requests", "max_retries"), "{{ env.RETRIES }}"),
        (("assets", "events", "schedule"), "{{ env.CRON }}"),
        (("assets", "transactions", "partitions", "start_date"), "{{ env.START }}"),
        (("assets", "transactions", "partitions", "timezone"), "{{ env.ZONE }}"),
        (("assets", "transactions", "partitions", "end_offset"), "{{ env.OFFSET }}"),
        (("rest_api", "resource_defaults", "endpoint", "paginator", "limit"), "{{ env.LIMIT }}"),
        (("rest_api", "resource_defaults", "endpoint", "paginator", "type"), "{{ env.TYPE }}"),
        ((*TRANSACTIONS, "write_disposition"), "{{ env.DISPOSITION }}"),
    ],
)
def test_a_template_may_stand_for_any_value(place: tuple[str | int, ...], template: str) -> None:
    """The file is looked at before Dagster renders it."""
    RestApiSync(**changed(place, template))


@pytest.mark.parametrize("seed", ["0", "4", "6"])
def test_the_key_that_is_blamed_is_the_one_nobody_knows(seed: str) -> None:
    """dlt lists the keys of several alternatives, each in an order that changes from process to process."""
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
    assert "unknown key `curser_param`; did you mean `cursor_param`?" in said


@pytest.mark.parametrize(
    ("kind", "written", "start"),
    [
        ("daily", "2026-01-01", "2026-01-01T00:00:00+01:00"),
        ("daily", "2025-12-31T23:00Z", "2026-01-01T00:00:00+01:00"),
        ("weekly", "2025-08-03", "2025-08-03T00:00:00+02:00"),
        ("hourly", "2025-10-26T02:00+01:00", "2025-10-26T02:00:00+01:00"),  # the second of two
    ],
)
def test_a_start_date_is_of_its_time_zone(kind: str, written: str, start: str) -> None:
    partitions = {"type": kind, "start_date": written, "timezone": "Europe/Berlin"}
    config = SyncConfig(**changed(("assets", "transactions", "partitions"), partitions)).asset("transactions")
    definition = partitions_def(config.partitions)
    assert definition is not None
    assert definition.start.isoformat() == start


@pytest.mark.parametrize("disposition", ["merge", {"disposition": "merge", "strategy": "delete-insert"}])
def test_merge_may_be_written_short_or_long(disposition: Any) -> None:
    SyncConfig(**changed((*TRANSACTIONS, "write_disposition"), disposition))


def test_the_python_form_is_the_same_object(tmp_path: Path) -> None:
    del tmp_path
    sync = RestApiSync(
        name="tickets",
        rest_api={"client": {"base_url": "https://api.example.com"}, "resources": ["tickets", "users"]},
    )
    assert list(sync.resource_names) == ["tickets", "users"]
