"""Every error has a unique code, fields and one text. This module lists each text once."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from analytics_assets.ingestion import errors
from analytics_assets.ingestion.errors import SyncError

TEXTS: list[tuple[SyncError, str, str]] = [
    (
        errors.MissingSecretError("", "api", "token"),
        "missing_secret",
        "the secret `token` of api is not set. Export SOURCES__API__TOKEN, or put token under [sources.api] in "
        ".dlt/secrets.toml.",
    ),
    (
        errors.UnsendableSecretError("", "api", "token"),
        "unsendable_secret",
        "the secret `token` of api holds characters that no HTTP header can carry. Copy it to SOURCES__API__TOKEN "
        "again.",
    ),
    (
        errors.UnsetVariableError("orders", "LIMIT", "api/defs.yaml", "requests.max_retries"),
        "unset_variable",
        "orders: the environment variable LIMIT is not set, and requests.max_retries in api/defs.yaml needs it. "
        "Set it where Dagster runs, and reload the definitions. Or write a default in the file: "
        "`{{ env('LIMIT', 'a default') }}`.",
    ),
    (
        errors.UnsetVariableError(
            "orders", "API_KEY", "api/defs.yaml", "rest_api.client.auth.api_key", is_secret=True
        ),
        "unset_variable",
        "orders: the environment variable API_KEY is not set, and rest_api.client.auth.api_key in api/defs.yaml "
        "needs it. Set it where Dagster runs, and reload the definitions.",
    ),
    (
        errors.FailingTemplateError("orders", "api/defs.yaml", "rest_api.client.auth.token", "it is empty."),
        "failing_template",
        "orders: rest_api.client.auth.token in api/defs.yaml cannot be read: it is empty. Correct the template, or "
        "the environment variables that it reads.",
    ),
    (
        errors.UnfitPathValueError("orders", "shops", "id", "is empty"),
        "unfit_path_value",
        "orders: `id` of a row of `shops` is empty, so the request would go to another endpoint. It was not sent, and "
        "nothing was loaded. Use a field of `shops` in endpoint.path that has a value in every row. Or send the value "
        'in endpoint.params, as in `params: {id: "{resources.shops.id}"}`.',
    ),
    (
        errors.DestinationSettingsError(
            "orders", "nonsense", "dlt has no such destination", "Set DESTINATION_TYPE"
        ),
        "destination_settings",
        "orders: the destination nonsense cannot be opened: dlt has no such destination. Nothing was requested. Set "
        "DESTINATION_TYPE.",
    ),
    (
        errors.InexactDestinationError("orders", "sqlite", "it stores decimals as floating-point numbers"),
        "inexact_destination",
        "orders: sqlite does not store every value as the API sends it: it stores decimals as floating-point numbers. "
        "Nothing was requested. Use DuckDB, or PostgreSQL with a database in UTF8.",
    ),
    (
        errors.NameTooLongError("orders", "a" * 70, 63, "postgres", is_table=True),
        "name_too_long",
        f"orders: the name of the table `{'a' * 70}` has 70 characters, and postgres takes 63. Nothing was "
        "requested. Set a shorter `table_name`.",
    ),
    (
        errors.NameTooLongError("orders", "a" * 70, 63, "postgres", is_table=False),
        "name_too_long",
        f"orders: the name of the column `{'a' * 70}` has 70 characters, and postgres takes 63. Nothing was "
        "requested. Give the field a shorter name (rename).",
    ),
    (
        errors.PooledConnectionError("orders", "db", 6432),
        "pooled_connection",
        "orders: db:6432 is a pooler that gives each transaction another connection of PostgreSQL. A run holds its "
        "locks by its connection, so nothing was requested. Name the server itself in "
        "DESTINATION__POSTGRES__CREDENTIALS, or a port of the pooler with pool_mode = session.",
    ),
    (
        errors.LockLostError("orders", "another run has taken its lock"),
        "lock_lost",
        "orders: the run lost its lock in PostgreSQL: another run has taken its lock. Nothing was loaded. Materialize "
        "again. If it recurs, look for a limit that ends idle connections, such as idle_session_timeout of the server.",
    ),
    (
        errors.MissingBaseUrlError("orders", "api"),
        "missing_base_url",
        "orders: rest_api.client.base_url of api is empty. Write it in defs.yaml, or set the environment variable "
        "that defs.yaml names there.",
    ),
    (
        errors.UnfitResourceError("orders", "a and b differ", "Drop b"),
        "unfit_resource",
        "orders: a and b differ. Drop b.",
    ),
    (
        errors.UnfitCursorError("orders", "a and b differ", "Drop b"),
        "unfit_cursor",
        "orders: a and b differ. Drop b.",
    ),
    (
        errors.UnfitFilterError("orders", "a and b differ", "Drop b"),
        "unfit_filter",
        "orders: a and b differ. Drop b.",
    ),
    (
        errors.TooManyPagesError("orders", "GET /orders", 1),
        "max_pages_exceeded",
        "orders: GET /orders has more than the 1 page that the option max_pages of this run allows. Nothing was "
        "loaded. Raise max_pages in the config or the tags of the run, or leave it out to fetch all pages.",
    ),
    (
        errors.NoPartitionError("orders"),
        "no_partition",
        "orders: this run has no partition, and the asset is partitioned. Nothing was requested. Launch it with a "
        "partition, or with a range from an earlier partition to a later one.",
    ),
    (
        errors.OptionInBackfillError("orders", "dry_run"),
        "option_in_backfill",
        "orders: this run belongs to a backfill, and has the option `dry_run`. Nothing was requested. Launch the "
        "backfill without `dry_run`, or one run of these partitions with it.",
    ),
    (
        errors.UnknownTagError("orders", "analytics_assets/dry_runn", ("analytics_assets/dry_run",)),
        "unknown_tag",
        "orders: the tag `analytics_assets/dry_runn` of this run is no option. Nothing was requested. Write "
        "`analytics_assets/dry_run`.",
    ),
    (
        errors.OptionDoesNotApplyError("orders", "analytics_assets/lookback", ("dry_run", "max_pages")),
        "option_does_not_apply",
        "orders: the tag `analytics_assets/lookback` of this run is no option of this resource, which has `dry_run`, "
        "`max_pages`. Nothing was requested. Launch it in another run, without the tag.",
    ),
    (
        errors.ContradictingOptionsError("orders", "analytics_assets/dry_run", "True", "False"),
        "contradicting_options",
        "orders: the tag `analytics_assets/dry_run` of this run says True, and its config says False. Nothing was "
        "requested. Remove one of them.",
    ),
    (
        errors.UnknownOpError("orders", "api__oders", "api__orders"),
        "unknown_op",
        "orders: the config of this run names the op `api__oders`, which does not exist. Nothing was requested. "
        "Correct the name: the op of this asset is `api__orders`.",
    ),
    (
        errors.UnfitRunConfigError("orders", "max_pages: Input should be greater than 0"),
        "unfit_run_config",
        "orders: the config of this run: max_pages: Input should be greater than 0. Nothing was requested. Correct "
        "the value, and launch the run again.",
    ),
    (
        errors.SyncHalted("orders", "GET /orders", 503, 4, "503 Service Unavailable", outage=True),
        "halted",
        "orders: halted after 4 attempts of GET /orders: 503 Service Unavailable",
    ),
    (
        errors.SyncHalted(
            "orders", "GET /orders", 429, 1, "429 Too Many Requests", True, 86_400.0, "Retry-After"
        ),
        "halted",
        "orders: halted after 1 attempt of GET /orders: 429 Too Many Requests. No request is sent until "
        "1970-01-02 00:00:00 UTC: the API says so in `Retry-After`.",
    ),
    (
        errors.RangeTooLargeError(
            "orders",
            "GET /orders",
            400,
            1,
            "400 Bad Request; the API refuses page 101 after 10,000 rows",
            rows=10_000,
        ),
        "range_too_large",
        "orders: GET /orders has more rows than the API pages through: 400 Bad Request; the API refuses page 101 after "
        "10,000 rows. Read smaller parts, with partitions or shorter ones, or set `row_order: asc` if the API sorts by "
        "the cursor. If the response means that there are no more rows, set requests.responses to "
        "`{status: 400, action: empty}`.",
    ),
    (
        errors.RangeTooSlowError("orders", "GET /orders", None, 2, "504 Gateway Timeout"),
        "range_too_slow",
        "orders: GET /orders took too long in 2 attempts: 504 Gateway Timeout. Read smaller parts, with shorter "
        "partitions. Or raise requests.read_timeout.",
    ),
    (
        errors.RangeTooSlowError("orders", "GET /orders", None, 0, ""),
        "range_too_slow",
        "orders: GET /orders is not asked for this range, because a range that is not longer took too long. Read "
        "smaller parts, with shorter partitions. Or raise requests.read_timeout.",
    ),
    (
        errors.ForeignOriginError("orders", "GET /more", "https://files.example.com"),
        "foreign_origin",
        "orders: GET /more leads to https://files.example.com, which is not the server of base_url. Nothing was sent "
        "there. If it belongs to the API, add it to requests.trusted_origins, and it gets the secrets. If it only has "
        "files, add it to requests.download_origins, and it gets none.",
    ),
    (
        errors.NoTokenError("orders", "POST /token", "its response is not JSON"),
        "no_token",
        "orders: no OAuth2 token came from POST /token, because its response is not JSON. Nothing was loaded. Check "
        "access_token_url, client_id and client_secret.",
    ),
    (
        errors.NoTokenError("orders", "Auth.obtain_token", "it fails with KeyError"),
        "no_token",
        "orders: no OAuth2 token came from Auth.obtain_token, because it fails with KeyError. Nothing was loaded. "
        "Check this method, and the response of its token endpoint.",
    ),
    (
        errors.CircuitOpenError("orders", "api", "the circuit of api is open"),
        "circuit_open",
        "orders: no request was sent, because the circuit of api is open",
    ),
    (
        errors.UnfollowableLinkError("orders", "InvalidURL"),
        "unfollowable_link",
        "orders: a request could not be sent (InvalidURL). Check base_url, its certificate, where the API's links "
        "lead, and the values of parent rows in endpoint.params.",
    ),
    (
        errors.AnswerTooLargeError("orders", "GET /orders", 1_073_741_824),
        "answer_too_large",
        "orders: the response of GET /orders has more than 1,073,741,824 bytes. Ask for smaller pages, such as a lower "
        "`limit`, or raise requests.max_answer_bytes.",
    ),
    (
        errors.NotJsonError("orders", "GET /orders"),
        "not_json",
        "orders: the response of GET /orders is not JSON. Check base_url and path, or ask the API's owner.",
    ),
    (
        errors.MissingRowsError("orders", "GET /orders", "data", "null", " (it has data, total)"),
        "missing_rows",
        "orders: data_selector `data` finds null in the response of GET /orders (it has data, total). Correct it. If "
        "the API means no rows by it, set assets.orders.empty_answer: null. If it means something else, set "
        "requests.responses.",
    ),
    (
        errors.UnfitJsonPathError("orders", "sub(/a/, b)"),
        "unfit_json_path",
        "orders: `sub(/a/, b)` in a JSONPath finds null, a number, a list or an object, and reads only text. Nothing "
        "was loaded. Set data_selector, or the path of the paginator, to a field that is always text.",
    ),
    (
        errors.AmbiguousRowsError("orders", "GET /orders", ("errors", "orders"), "more than one list"),
        "ambiguous_rows",
        "orders: the response of GET /orders has more than one list, so its rows are unclear. Set data_selector to one "
        "of `errors`, `orders`.",
    ),
    (
        errors.ErrorAnswerError("orders", "GET /orders", "error", "rate limited"),
        "error_answer",
        "orders: the response of GET /orders has no rows, and reports an error in `error`: rate limited. Nothing was "
        "loaded. Correct the request, or add a rule for this response to requests.responses: `retry` if it is "
        "temporary, or `empty` if it means no rows.",
    ),
    (
        errors.MorePagesError("orders", "GET /orders", "has `total` 250", 50),
        "more_pages",
        "orders: the last response of GET /orders has `total` 250, and 50 rows were read. Nothing was loaded. If "
        "the endpoint has more pages, set the `paginator` that reads them. If these are all rows, set "
        "assets.orders.ignore_total: true (for all resources: requests.ignore_total).",
    ),
    (
        errors.NoNewRowsError("orders", "GET /orders", 3),
        "no_new_rows",
        "orders: the last 3 pages of GET /orders had no new row, and each led to another page. Nothing was loaded. If "
        "the endpoint has only one page, set `paginator: single_page`. Otherwise set the paginator's has_more_path, or "
        "stop_after_empty_page: true. If the API does send so many pages without a new row, raise "
        "requests.max_empty_pages.",
    ),
    (
        errors.NoNewRowsError("orders", "GET /orders", 3, "has `more`"),
        "no_new_rows",
        "orders: the last 3 pages of GET /orders had no new row, and each led to another page. Nothing was loaded. If "
        "the endpoint has only one page, set `paginator: single_page`, and assets.orders.ignore_total: true (for all "
        "resources: requests.ignore_total), because its response has `more`. Otherwise set the paginator's "
        "has_more_path, or stop_after_empty_page: true. If the API does send so many pages without a new row, raise "
        "requests.max_empty_pages.",
    ),
    (
        errors.EndlessReadError("orders", "GET /orders", 1_000_000),
        "endless_read",
        "orders: 1,000,000 pages of GET /orders were read, which is requests.max_pages, and the API says that there is "
        "another one. Nothing was loaded. Check whether the API knows the paginator's parameters. If it does have so "
        "many pages, ask for larger ones, or raise requests.max_pages in the file.",
    ),
    (
        errors.TotalOfPageError("orders", "GET /orders", "total"),
        "total_of_page",
        "orders: `total` is the number of rows of each page of GET /orders, and not of all rows. Nothing was loaded. "
        "Set the paginator's total_path to the number of all rows, or to null.",
    ),
    (
        errors.RowsNotAListError("orders", "GET /orders", "data", "an object"),
        "rows_not_a_list",
        "orders: data_selector `data` finds an object and no list in the response of GET /orders. Set data_selector to "
        "the list of rows. If the API sends one object in place of a list, set assets.orders.one_object: true.",
    ),
    (
        errors.ObjectAfterListsError("orders", "GET /orders", " (it has status)"),
        "object_after_lists",
        "orders: GET /orders returned an object where lists came before (it has status). None of its fields is known. "
        "Nothing was loaded. If the object says that the rows are not ready, add a rule to requests.responses, such as "
        "`{body: {status: pending}, action: retry}`. If it is a row, declare one of its fields under columns, or set "
        "assets.orders.one_object: true.",
    ),
    (
        errors.NoListError("orders", "GET /orders", " (it is text)"),
        "no_list",
        "orders: there is no list in the response of GET /orders (it is text). Set data_selector to the list of rows, "
        "or to `$` if the response is the only row.",
    ),
    (
        errors.PagingFieldError("orders", "GET /orders", "total", "total_path", "", " (it has data)"),
        "paging_field",
        "orders: the response of GET /orders has no `total` (it has data). Set the paginator's total_path to the field "
        "that holds it, or to null. If the endpoint has only one page, set `paginator: single_page`.",
    ),
    (
        errors.PagingFieldError("orders", "GET /orders", "total", "total_path", "text", " (it has data)"),
        "paging_field",
        "orders: `total` is text in the response of GET /orders. Set the paginator's total_path to the field that "
        "holds it, or to null. If the endpoint has only one page, set `paginator: single_page`.",
    ),
    (
        errors.PagingFieldError("orders", "GET /orders", "next", "next_url_path", "a list and no link", ""),
        "paging_field",
        "orders: `next` is a list and no link in the response of GET /orders. Set the paginator's next_url_path to the "
        "field that leads to the next page, or choose the `paginator` that fits the API.",
    ),
    (
        errors.RefusedResponseError("orders", "no total"),
        "refused_response",
        "orders: dlt's paginator cannot read a response: no total. Make the paginator's total_path or has_more_path "
        "fit it, or set them to null.",
    ),
    (
        errors.RowsMovedError("orders", "the total shrank", "GET /orders").after(4),
        "rows_moved",
        "orders: rows of GET /orders moved while they were read in 4 attempts: the total shrank. Nothing was loaded. "
        "Have the API sort them by a unique field that does not change (endpoint.params), or sync when it is quiet.",
    ),
    (
        errors.SamePageError("orders", "two pages are the same", "GET /orders", "page").after(2),
        "same_page",
        "orders: `page` does not lead to another page of GET /orders in 2 attempts: two pages are the same. Nothing "
        "was loaded. If the endpoint has only one page, set `paginator: single_page`. Otherwise correct `page` in the "
        "paginator.",
    ),
    (
        errors.StaleLoadError("orders", "it has loaded a newer version of a row"),
        "stale_load",
        "orders: another run was faster: it has loaded a newer version of a row. Nothing was loaded. Materialize again "
        "when fewer runs of the asset are under way.",
    ),
    (
        errors.ContractExceededError(
            "orders", 3, 3, "50%", ("key holds the secret of the API (3 rows)",), ("key",)
        ),
        "contract_exceeded",
        "orders: 3 of 3 rows break the contract (max_quarantined is 50%). Nothing was loaded. key holds the secret of "
        "the API (3 rows). Have the API leave out the secret in `key`, or remove assets.orders.quarantine_secrets, "
        "which loads these rows. Otherwise fix the rows at the API, correct the declared columns, or raise "
        "assets.orders.max_quarantined.",
    ),
    (
        errors.ContractExceededError("orders", 3, 120, "2%", ("id is null (3 rows)",)),
        "contract_exceeded",
        "orders: 3 of 120 rows break the contract (max_quarantined is 2%). Nothing was loaded. id is null (3 rows). "
        "Fix the rows at the API, correct the declared columns, or raise assets.orders.max_quarantined.",
    ),
    (
        errors.CursorValueError("orders", "at", "is missing in a row"),
        "cursor_value",
        "orders: the cursor `at` is missing in a row. Nothing was loaded. Set incremental.cursor_path to a field that "
        "each row has, and declare its data_type under columns. Or set incremental.on_cursor_value_missing to include "
        "or exclude rows without it.",
    ),
    (
        errors.MissingParentFieldError("orders", "shops", "id"),
        "missing_parent_field",
        "orders: a row of `shops` has no `id`, which this resource needs. Nothing was loaded. Use a field that each "
        "row of `shops` has, in endpoint.path, endpoint.params and include_from_parent.",
    ),
    (
        errors.UncoercibleValueError("orders", "orders", "x__v_text", "text", "timestamp"),
        "uncoercible_value",
        "orders: `orders.x__v_text` is timestamp, and a row has a value of type text for it. Nothing was loaded. "
        "Declare the field under columns, or give it another name in assets.orders.rename.",
    ),
    (
        errors.TooManyColumnsError("orders", 300, ("stats.7.clicks", "stats.8.clicks"), "stats", 301, True),
        "too_many_columns",
        "orders: the API sends more than 300 new columns (max_new_columns), such as `stats.7.clicks`, "
        "`stats.8.clicks`. `stats` has 301 keys that look like ids. Nothing was loaded. Declare `stats` under columns "
        "as `{data_type: json}`, or raise assets.orders.max_new_columns.",
    ),
    (
        errors.TooManyColumnsError("orders", 2, ("a", "b"), "", 3, False, knows_table=False),
        "too_many_columns",
        "orders: the API sends more than 2 new columns (max_new_columns), such as `a`, `b`. The rows have 3 new keys. "
        "Nothing was loaded. Declare the columns that you need. If ids are keys, correct data_selector, or raise "
        "assets.orders.max_new_columns. A dry run does not read the table: if it already has these columns, a sync "
        "takes them.",
    ),
    (
        errors.UndeclaredFieldError("orders", "vip"),
        "undeclared_field",
        "orders: the API sends the field `vip`, which is not declared, and schema_contract is freeze. Nothing was "
        "loaded. Declare it under columns, or set schema_contract to evolve (load it) or discard_value (leave it out).",
    ),
    (
        errors.ColumnTypeChangedError("orders", "api.orders", {"n": ("text", "bigint")}),
        "column_type_changed",
        "orders: columns of api.orders have another type than declared: `n` is text, declared as bigint. Nothing was "
        "loaded. Declare the type that the table has. To have the declared type instead, run `DROP TABLE api.orders` "
        "and materialize all of the asset again.",
    ),
    (
        errors.KeyNotUniqueError("clicks", ("day",), 120, 1, ("2026-01-05",), ("campaign",)),
        "key_not_unique",
        "clicks: the primary_key `day` is not unique: 120 rows have 1 key, and other values for the same key "
        "(2026-01-05). Nothing was loaded. Set `primary_key: [day, campaign]`.",
    ),
    (
        errors.DuplicateKeysError("orders", 2, ("1", "3"), "upsert"),
        "duplicate_keys",
        "orders: 2 primary keys came more than once in this load (1; 3), and `upsert` does not keep the newest "
        "version. Nothing was loaded. Have the API send each key once, or use `delete-insert`.",
    ),
    (
        errors.EmptyLoadError("orders", 50_000),
        "empty_load",
        "orders: the API returned no rows, and the table has 50,000 rows. Nothing was loaded. Check the filter and the "
        "rights of the key. If the API has no rows, set assets.orders.allow_empty: true.",
    ),
    (
        errors.TooManyRemovedError("orders", "2026-01-05", 3, 10, "20%"),
        "max_removed_exceeded",
        "orders: 3 of the 10 rows of 2026-01-05 are gone from the API (max_removed is 20%). None was removed. Have the "
        "API restore them. If they are gone for good, raise assets.orders.max_removed. Then materialize again.",
    ),
    (
        errors.NoSqlError("orders", "filesystem"),
        "no_sql",
        "orders: the destination filesystem has no SQL, so that no row there can be counted or checked. Set "
        "destination_type to a SQL destination of dlt.",
    ),
    (
        errors.NoWarehouseFileError("", "there is no a.duckdb yet", "Materialize an asset first"),
        "no_warehouse_file",
        "there is no a.duckdb yet. Materialize an asset first.",
    ),
    (
        errors.TakenTableError("orders", "a.orders", "shop__orders"),
        "taken_table",
        "orders: a.orders belongs to the dlt pipeline `shop__orders`, so nothing was loaded. Set "
        "`dataset_name` of this API to another dataset, or `table_name` of the resource to another table. If the other "
        "pipeline is no longer used, drop its table first.",
    ),
    (
        errors.ViewInPlaceOfTableError("orders", "a.orders"),
        "view_in_place_of_table",
        "orders: a.orders is a view in place of the table of a sync, so nothing was loaded. Drop the view, and put the "
        "table back. Without the table, the sync loads all rows again.",
    ),
    (
        errors.LostStateError("orders", "a.orders"),
        "lost_state",
        "orders: a.orders has rows, and dlt's tables beside it (_dlt_pipeline_state, _dlt_loads) no longer say up to "
        "where they were loaded. An append would load them a second time, so nothing was requested. Restore dlt's "
        "tables from a backup, or launch a run with `full_refresh: true`, which replaces all rows.",
    ),
    (
        errors.OlderStateError("orders", "a.orders", ("1767225600.5", "1767312000.5")),
        "older_state",
        "orders: a.orders has rows above the stored cursor, and _dlt_pipeline_state has no row of the loads that "
        "brought them (1767225600.5, 1767312000.5). An append would load them a second time, so nothing was requested. "
        "Restore these rows of _dlt_pipeline_state from a backup, or delete the rows of these loads from the table and "
        "its child tables, or launch a run with `full_refresh: true`.",
    ),
    (
        errors.WarehouseBusyError("orders", "a.duckdb", holder="python3, process 7"),
        "warehouse_busy",
        "orders: a.duckdb is open in another program. Close it there, or open it read-only and only for a moment. Then "
        "materialize again. The program is python3, process 7.",
    ),
    (
        errors.UnreachableWarehouseError("orders", "a.duckdb", "it is a folder"),
        "unreachable_warehouse",
        "orders: the warehouse a.duckdb cannot be opened: it is a folder. Check the path or the credentials, and who "
        "may write there.",
    ),
    (
        errors.DiskFullError("orders", "/data/a.duckdb", "No space left on device"),
        "disk_full",
        "orders: no more can be written to /data/a.duckdb: No space left on device. Free space there, and materialize "
        "again. DESTINATION__DUCKDB__CREDENTIALS moves the warehouse, and TMPDIR moves the files of a run.",
    ),
    (
        errors.NoWorkingDirectoryError("", "Permission denied"),
        "no_working_directory",
        "no working directory can be made: Permission denied. Set TMPDIR to a folder with free space, in which this "
        "user may write.",
    ),
    (
        errors.DamagedWarehouseError("orders", "a.duckdb", "WAL does not match database file"),
        "damaged_warehouse",
        "orders: the warehouse a.duckdb cannot be opened: WAL does not match database file. Restore it from a backup, "
        "together with its .wal file. Without a backup, move both away and materialize all assets again. If the path "
        "is wrong, set DESTINATION__DUCKDB__CREDENTIALS.",
    ),
    (
        errors.DuckDbVersionError("orders", "a.duckdb", "newer", "1.4.0"),
        "duckdb_version",
        "orders: a newer version of DuckDB made a.duckdb, and 1.4.0 cannot read it. Upgrade DuckDB where the syncs "
        "run, to the version that made the file.",
    ),
    (
        errors.MissingGuaranteesError("orders", "postgres", ("runs do not wait for each other",)),
        "missing_guarantees",
        "orders: the destination postgres lacks guarantees: runs do not wait for each other. Use DuckDB or "
        "PostgreSQL, or accept this with `destination: {accept_missing_guarantees: true}` in defs.yaml.",
    ),
    (
        errors.UnexpectedError("orders", "KeyError", "'hidden.token.1a2b'", "steps.py, line 7"),
        "unexpected",
        "orders: the sync failed with KeyError (steps.py, line 7): 'hidden.token.1a2b'. The traceback is left out, "
        "because it holds a secret.",
    ),
]


@pytest.mark.parametrize(("error", "code", "text"), TEXTS, ids=[code for _, code, _ in TEXTS])
def test_an_error_has_a_code_and_one_text(error: SyncError, code: str, text: str) -> None:
    assert (error.code, str(error)) == (code, text)


@pytest.mark.parametrize("error", [error for error, _, _ in TEXTS], ids=[code for _, code, _ in TEXTS])
def test_an_error_survives_the_way_between_processes(error: SyncError) -> None:
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301  our own
    assert (type(copied), copied.facts()) == (type(error), error.facts())


def test_every_error_is_listed_and_drawn() -> None:
    leaves = [kind for kind in _kinds(SyncError) if "code" in vars(kind)]
    assert set(leaves) == {type(error) for error, _, _ in TEXTS}
    assert len({kind.code for kind in leaves}) == len(leaves)
    for kind in _kinds(SyncError):
        assert kind.__name__ in str(errors.__doc__)
    for kind in leaves:
        assert kind.code in str(errors.__doc__)


def _kinds(base: type[SyncError]) -> Iterator[type[SyncError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)
