"""Failures of rows that do not match the declared columns."""

from __future__ import annotations

from dataclasses import dataclass

from analytics_assets.ingestion.errors.base import Fault, SyncError, counted


@dataclass(eq=False)
class ContractError(SyncError):
    """The rows do not match the declared columns."""


@dataclass(eq=False)
class ContractExceededError(ContractError):
    """More rows break the contract than `max_quarantined` allows.

    Attributes:
        rejected: the number of rows that break the contract.
        rows: the number of rows read.
        limit: the value of `max_quarantined` as text.
        reasons: the most frequent reasons, each with masked values or with primary keys as examples.
        secret_fields: the fields that hold a secret of the API.
    """

    rejected: int
    rows: int
    limit: str
    reasons: tuple[str, ...]
    secret_fields: tuple[str, ...] = ()
    code = "contract_exceeded"

    @property
    def cause(self) -> str:
        return (
            f"{self.rejected:,} of {counted(self.rows, 'row')} break the contract (max_quarantined is {self.limit}). "
            f"Nothing was loaded. {'; '.join(self.reasons)}"
        )

    @property
    def cure(self) -> str:
        asset = f"assets.{self.resource}"
        cure = f"ix the rows at the API, correct the declared columns, or raise {asset}.max_quarantined"
        if not self.secret_fields:
            return f"F{cure}"
        named = ", ".join(f"`{one}`" for one in self.secret_fields)
        return (
            f"Have the API leave out the secret in {named}, or remove {asset}.quarantine_secrets, which loads these "
            f"rows. Otherwise f{cure}"
        )


@dataclass(eq=False)
class UndeclaredFieldError(ContractError):
    """The API sends a field that is not declared, and `schema_contract` is `freeze`.

    Attributes:
        field: the warehouse name of the field.
    """

    field: str
    code = "undeclared_field"

    @property
    def cause(self) -> str:
        return f"the API sends the field `{self.field}`, which is not declared, and schema_contract is freeze"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Declare it under columns, or set schema_contract to evolve (load it) or discard_value "
            "(leave it out)"
        )


@dataclass(eq=False)
class TooManyColumnsError(ContractError):
    """A load brings more new columns than `max_new_columns` allows.

    Attributes:
        limit: `max_new_columns`.
        examples: the first new columns, as the paths of their fields.
        field: the column whose object or list has the most new keys; empty if it is the row itself.
        keys: the number of these keys.
        like_ids: whether most of these keys look like ids.
        knows_table: whether the columns of the table are known; false in a dry run, for which all columns are new.
    """

    limit: int
    examples: tuple[str, ...]
    field: str
    keys: int
    like_ids: bool
    knows_table: bool = True
    code = "too_many_columns"

    @property
    def cause(self) -> str:
        examples = ", ".join(f"`{one}`" for one in self.examples)
        keys = "keys that look like ids" if self.like_ids else "new keys"
        return (
            f"the API sends more than {counted(self.limit, 'new column')} (max_new_columns), such as {examples}. "
            f"{f'`{self.field}` has' if self.field else 'The rows have'} {self.keys:,} {keys}"
        )

    @property
    def cure(self) -> str:
        first = (
            f"Declare `{self.field}` under columns as `{{data_type: json}}`"
            if self.field
            else "Declare the columns that you need. If ids are keys, correct data_selector"
        )
        cure = f"Nothing was loaded. {first}, or raise assets.{self.resource}.max_new_columns"
        if self.knows_table:
            return cure
        return (
            f"{cure}. A dry run does not read the table: if it already has these columns, a sync takes them"
        )


@dataclass(eq=False)
class CursorValueError(ContractError):
    """A row has no usable value of the cursor.

    Attributes:
        path: the JSONPath of the cursor.
        problem: the clause that says what is wrong with the value.
    """

    path: str
    problem: str
    code = "cursor_value"

    @property
    def cause(self) -> str:
        return f"the cursor `{self.path}` {self.problem}. Nothing was loaded"

    @property
    def cure(self) -> str:
        return (
            "Set incremental.cursor_path to a field that each row has, and declare its data_type under columns. Or set "
            "incremental.on_cursor_value_missing to include or exclude rows without it"
        )


@dataclass(eq=False)
class MissingParentFieldError(ContractError):
    """A row of the parent lacks a field that its children need.

    Attributes:
        parent: the resource whose row lacks the field.
        path: the JSONPath of the field in the row.
    """

    parent: str
    path: str
    code = "missing_parent_field"

    @property
    def cause(self) -> str:
        return f"a row of `{self.parent}` has no `{self.path}`, which this resource needs. Nothing was loaded"

    @property
    def cure(self) -> str:
        return (
            f"Use a field that each row of `{self.parent}` has, in endpoint.path, endpoint.params and "
            "include_from_parent"
        )


@dataclass(eq=False)
class UncoercibleValueError(ContractError):
    """An undeclared field has a value that neither its column nor a variant column of dlt can hold.

    Attributes:
        table: the table in the warehouse.
        column: the column in the warehouse.
        found: the type of the value; `null` for a missing value.
        data_type: the type of the column.
    """

    table: str
    column: str
    found: str
    data_type: str
    code = "uncoercible_value"

    @property
    def cause(self) -> str:
        return (
            f"`{self.table}.{self.column}` is {self.data_type}, and a row has a value of type {self.found} for it. "
            "Nothing was loaded"
        )

    @property
    def cure(self) -> str:
        return f"Declare the field under columns, or give it another name in assets.{self.resource}.rename"


@dataclass(eq=False)
class ColumnTypeChangedError(ContractError):
    """The declared type of a column differs from the type in the table.

    Attributes:
        table: the qualified name of the table.
        changes: the type in the table and the declared type, by column.
    """

    table: str
    changes: dict[str, tuple[str, str]]
    code = "column_type_changed"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        listed = ", ".join(
            f"`{name}` is {old}, declared as {new}" for name, (old, new) in self.changes.items()
        )
        return f"columns of {self.table} have another type than declared: {listed}"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Declare the type that the table has. To have the declared type instead, run "
            f"`DROP TABLE {self.table}` and materialize all of the asset again"
        )


@dataclass(eq=False)
class DuplicateKeysError(ContractError):
    """One load has two rows with the same primary key, and the merge strategy would load both rows or fail.

    Attributes:
        keys: the number of primary keys that occur more than once.
        examples: up to five of these primary keys.
        strategy: dlt's merge strategy.
    """

    keys: int
    examples: tuple[str, ...]
    strategy: str
    code = "duplicate_keys"

    @property
    def cause(self) -> str:
        return (
            f"{counted(self.keys, 'primary key')} came more than once in this load ({'; '.join(self.examples)}), and "
            f"`{self.strategy}` does not keep the newest version"
        )

    @property
    def cure(self) -> str:
        return "Nothing was loaded. Have the API send each key once, or use `delete-insert`"


@dataclass(eq=False)
class KeyNotUniqueError(ContractError):
    """Rows of one load have the same primary key and other values, so a merge would lose rows.

    Attributes:
        key: the columns of the primary key.
        rows: the number of rows in the load.
        keys: the number of distinct primary keys in the load.
        examples: primary keys of such rows.
        missing: columns that would make the key unique; empty if no such columns are found.
    """

    key: tuple[str, ...]
    rows: int
    keys: int
    examples: tuple[str, ...]
    missing: tuple[str, ...]
    code = "key_not_unique"
    fault = Fault.CONFIG

    @property
    def cause(self) -> str:
        return (
            f"the primary_key `{', '.join(self.key)}` is not unique: {counted(self.rows, 'row')} have "
            f"{counted(self.keys, 'key')}, and other values for the same key ({'; '.join(self.examples)})"
        )

    @property
    def cure(self) -> str:
        if self.missing:
            return f"Nothing was loaded. Set `primary_key: [{', '.join((*self.key, *self.missing))}]`"
        return "Nothing was loaded. Set a primary_key that is unique, which may have several columns"


@dataclass(eq=False)
class EmptyLoadError(ContractError):
    """A full load has no rows, and would empty a table that has rows.

    Attributes:
        rows: the number of rows in the table.
    """

    rows: int
    code = "empty_load"

    @property
    def cause(self) -> str:
        return f"the API returned no rows, and the table has {counted(self.rows, 'row')}"

    @property
    def cure(self) -> str:
        return (
            "Nothing was loaded. Check the filter and the rights of the key. If the API has no rows, set "
            f"assets.{self.resource}.allow_empty: true"
        )


@dataclass(eq=False)
class TooManyRemovedError(ContractError):
    """More rows of a partition are gone from the API than `max_removed` allows.

    Attributes:
        partition: the partition key.
        removed: the number of rows that are gone from the API.
        rows: the number of rows of the partition in the table.
        limit: `max_removed` as text.
    """

    partition: str
    removed: int
    rows: int
    limit: str
    code = "max_removed_exceeded"

    @property
    def cause(self) -> str:
        return (
            f"{self.removed:,} of the {counted(self.rows, 'row')} of {self.partition} are gone from the API "
            f"(max_removed is {self.limit}). None was removed"
        )

    @property
    def cure(self) -> str:
        return (
            f"Have the API restore them. If they are gone for good, raise assets.{self.resource}.max_removed. Then "
            "materialize again"
        )
