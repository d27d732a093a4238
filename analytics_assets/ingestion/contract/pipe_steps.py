"""Three steps in the pipe of a dlt resource: they parse the rows, validate the rows, and add dlt's ids.

Each item in the pipe is a page, which is a list of rows. Pages take one of two paths to the warehouse.

On the Arrow path, a page with only declared fields becomes one Arrow table, which dlt writes unchanged.

On the row path, a page with undeclared fields goes through dlt's normalizer as rows. The validator first coerces the
declared columns, so that both paths load the same values.
"""

from __future__ import annotations

import os
from array import array
from typing import Any

import pyarrow as pa
from dlt.common.typing import TDataItems
from dlt.extract.items_transform import ItemTransform, ValidateItem
from dlt.pipeline import current
from msgspec import Raw

from analytics_assets.ingestion.contract.page_range import PageRange
from analytics_assets.ingestion.contract.quarantine import Quarantine
from analytics_assets.ingestion.contract.secret_watch import SecretWatch
from analytics_assets.ingestion.contract.validator import Validator
from analytics_assets.ingestion.raw_json import read_row
from analytics_assets.ingestion.row_of_parent import RowOfParent, parsed

_ID_LENGTH = 14
_ID_CHARACTERS = bytes(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[byte % 64] for byte in range(256)
)


class ParseStep(ItemTransform[Any, Any]):
    """The step that parses rows which are JSON text, for steps that read their fields."""

    def __init__(self) -> None:
        super().__init__(lambda item: item)

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt passes it
        """Returns the parsed rows of a page or of a part of it."""
        if isinstance(item, list):
            return item if {Raw, RowOfParent}.isdisjoint(map(type, item)) else [*map(parsed, item)]
        return parsed(item)


class ValidateStep(ValidateItem):
    """The step that passes only good rows to the next step, before dlt reads the cursor of the rows.

    Args:
        validator: the validator, which separates good rows from bad rows.
        quarantine: the quarantine, which takes the bad rows.
        secret_watch: counts the rows that hold a secret.
        page_range: the range of the page.
    """

    def __init__(
        self,
        validator: Validator,
        quarantine: Quarantine,
        secret_watch: SecretWatch,
        page_range: PageRange,
    ) -> None:
        super().__init__(lambda item: item)
        self._validator = validator
        self._quarantine = quarantine
        self._secret_watch = secret_watch
        self._page_range = page_range

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt passes it
        """Returns the good rows of a page.

        dlt also gets a page without good rows, so that the write disposition `replace` can empty the table.
        """
        rows = item if isinstance(item, list) else [item]
        if not rows:
            return item
        violations = self._secret_watch.violations(rows)
        if set(map(type, rows)) == {Raw} and not violations:
            result = self._validator.read(rows)
        else:  # the rows are already parsed if the response was not strict JSON
            result = self._validator.validate(
                [read_row(one) if isinstance(one, Raw) else one for one in rows], violations
            )
        self._quarantine.add(result.rejected, len(rows), self._page_range.window)
        return result.items


class AddDltIdsStep(ItemTransform[Any, Any]):
    """The step that adds `_dlt_load_id` and `_dlt_id` to Arrow tables, as dlt's normalizer does for rows.

    dlt's own option `add_dlt_id` would rewrite each Parquet file, which takes 3 s per million rows.
    """

    # This step runs after dlt's incremental step, which must not compare random ids.
    placement_affinity = 1.05

    def __init__(self) -> None:
        super().__init__(lambda item: item)

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt passes it
        """Adds `_dlt_load_id` and `_dlt_id` to an Arrow table, and returns any other item unchanged."""
        if not isinstance(item, pa.Table):
            return item
        load_id = current.load_package_state()["load_id"]
        for name, column in (("_dlt_load_id", pa.repeat(load_id, len(item))), ("_dlt_id", _ids(len(item)))):
            item = item.append_column(pa.field(name, pa.string(), nullable=False), column)
        return item


def _ids(count: int) -> pa.Array:
    """Returns random ids in dlt's format: 14 characters from an alphabet of 64."""
    characters = os.urandom(_ID_LENGTH * count).translate(_ID_CHARACTERS)
    offsets = array("i", range(0, _ID_LENGTH * (count + 1), _ID_LENGTH))
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(characters))
