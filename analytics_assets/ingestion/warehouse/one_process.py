"""Keeps dlt's normalize step in this process, whatever dlt's setting `normalize.workers` says.

In a process of its own, a worker would neither count new columns nor report a failure with its code.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dlt.normalize.configuration import NormalizeConfiguration

log = logging.getLogger("analytics_assets")

_is_on: ContextVar[bool] = ContextVar("one_process", default=False)
_on_resolved = NormalizeConfiguration.on_resolved


@contextmanager
def one_process() -> Iterator[None]:
    """Within the `with` block, the normalize step has no process pool. Other pipelines keep their workers."""
    token = _is_on.set(True)
    try:
        yield
    finally:
        _is_on.reset(token)


def _resolved(config: NormalizeConfiguration) -> None:
    if _is_on.get() and config.workers != 1:
        log.info("dlt's setting normalize.workers has no effect on a sync of this project.")
        config.workers = 1
    _on_resolved(config)


NormalizeConfiguration.on_resolved = _resolved  # type: ignore[method-assign,assignment]  # dlt has no argument
