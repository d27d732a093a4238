"""The two lanes from rows to the warehouse: Arrow where the contract says it all, dlt's normalizer where it does not.

What belongs here: the steps that are added to a dlt resource's pipe. Rows come in pages, as lists; what fits the
contract leaves as one Arrow table per page, which dlt writes as it is. A page with more to it than is declared goes on
as rows, its declared columns in their types already, so that both lanes give the same table.
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

from analytics_assets.ingestion.contract.quarantine import Quarantine
from analytics_assets.ingestion.contract.validator import Validator
from analytics_assets.ingestion.raw_json import read_row

_ID_LENGTH = 14
_ID_CHARACTERS = bytes(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[byte % 64] for byte in range(256)
)


class ValidateStep(ValidateItem):
    """The step that lets good rows in, before dlt looks at their cursor.

    Args:
        validator: knows the contract.
        quarantine: takes the bad rows.
    """

    def __init__(self, validator: Validator, quarantine: Quarantine) -> None:
        super().__init__(lambda item: item)
        self._validator = validator
        self._quarantine = quarantine

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt's shape
        """The good rows of a page; an empty page stays one, for dlt empties a table by it."""
        rows = item if isinstance(item, list) else [item]
        if not rows:
            return item
        if set(map(type, rows)) == {Raw}:
            result = self._validator.read(rows)
        else:  # an answer that is not quite JSON has been read already
            result = self._validator.validate(
                [read_row(one) if isinstance(one, Raw) else one for one in rows]
            )
        self._quarantine.add(result.rejected, len(rows))
        return result.items


class AddDltIdsStep(ItemTransform[Any, Any]):
    """The step that adds to Arrow what dlt's normalizer adds to rows: `_dlt_load_id` and `_dlt_id`.

    dlt could do it while it normalizes, by writing each file once more: 3 s per million rows.
    """

    placement_affinity = 1.05  # right behind incremental, which may compare whole rows

    def __init__(self) -> None:
        super().__init__(lambda item: item)

    def __call__(self, item: TDataItems, meta: Any = None) -> TDataItems:  # noqa: ARG002  dlt's shape
        """The table with both columns; rows as they are."""
        if not isinstance(item, pa.Table):
            return item
        load_id = current.load_package_state()["load_id"]
        for name, column in (("_dlt_load_id", pa.repeat(load_id, len(item))), ("_dlt_id", _ids(len(item)))):
            item = item.append_column(pa.field(name, pa.string(), nullable=False), column)
        return item


def _ids(count: int) -> pa.Array:
    """Random ids as dlt makes them: 14 characters of 64."""
    characters = os.urandom(_ID_LENGTH * count).translate(_ID_CHARACTERS)
    offsets = array("i", range(0, _ID_LENGTH * (count + 1), _ID_LENGTH))
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(characters))
