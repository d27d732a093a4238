"""Where the memory of the alert sensor is stored: in Dagster's key-value store, while the cursor only refers to it.

So the cursor is small, whatever the sensor remembers. Dagster's daemon stores its own cursors in the same table.
"""

import base64
import secrets
import zlib
from collections.abc import Mapping
from typing import Any

import dagster as dg

from analytics_assets.orchestration.alerts.cursor import AlertMemory, IncidentState


class MemoryStore:
    """The memory of one alert sensor.

    Each sensor has an entry of its own, so two code locations with the same source do not share a memory. A sensor
    whose cursor a person has reset begins a new entry.

    Args:
        instance: the Dagster instance.
        source: the name of the source.
        cursor: the cursor of the sensor; None or empty before the first tick.
    """

    def __init__(self, instance: dg.DagsterInstance, source: str, cursor: str | None) -> None:
        self._storage = instance.daemon_cursor_storage
        self._cursor = AlertMemory.model_validate_json(cursor) if cursor else AlertMemory()
        self._entry = self._cursor.store or secrets.token_hex(8)
        self._key = f"analytics_assets/alerts/{source}/{self._entry}"
        # In Dagster+, code locations have no key-value store: both methods return an exception.
        found: Any = self._storage.get_cursor_values({self._key})
        self._in_store = isinstance(found, Mapping)
        self._stored: str | None = found.get(self._key) if self._in_store else None

    def read(self) -> AlertMemory:
        """Returns the memory, or the positions in the cursor if the entry is lost."""
        return _decoded(self._stored) if self._stored else self._cursor.model_copy(update={"store": None})

    def write(self, memory: AlertMemory) -> str:
        """Stores the memory, and returns the cursor of the sensor.

        Without a key-value store, the cursor is the whole memory.
        """
        if not self._in_store:
            return memory.model_dump_json(exclude_defaults=True)
        text = _encoded(memory)
        if text != self._stored:
            self._storage.set_cursor_values({self._key: text})
            self._stored = text
        positions = memory.state.model_dump(include={"circuit_event", "run_failure"}, by_alias=False)
        cursor = AlertMemory(state=IncidentState(**positions), store=self._entry)
        return cursor.model_dump_json(exclude_defaults=True)


def _encoded(memory: AlertMemory) -> str:
    """Compresses a memory, because MySQL's type of the value has at most 65,535 characters."""
    return base64.b64encode(zlib.compress(memory.model_dump_json(exclude_defaults=True).encode())).decode()


def _decoded(text: str) -> AlertMemory:
    return AlertMemory.model_validate_json(zlib.decompress(base64.b64decode(text)))
