"""The values of a parent's row in the path of a request: each is percent-encoded, as one segment of the path.

What belongs here: the parameters of `endpoint.path`. dlt itself would put a value such as `../secret` into the URL as
it is, and the request with the key would go to another endpoint.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from dlt.common.jsonpath import compile_path
from jsonpath_ng import DatumInContext, JSONPath

from analytics_assets.ingestion.contract.coercion_rules import is_unicode
from analytics_assets.ingestion.errors import UnfitPathValueError


def encode_path_parameters(resource: dict[str, Any]) -> None:
    """Replaces each parameter of a path that comes from a parent by one whose value is percent-encoded.

    Args:
        resource: the config of a resource, after dlt has applied its defaults. The function changes it.
    """
    endpoint = resource["endpoint"]
    params = dict(endpoint.get("params") or {})
    resolved = {name: one for name, one in params.items() if _is_resolved(one)}
    pieces = list(string.Formatter().parse(endpoint["path"]))
    path, encoded = "", {}
    for number, (literal, field, _, _) in enumerate(pieces):
        path += literal.replace("{", "{{").replace("}", "}}")
        if field is None:
            continue
        source = _source(field, resolved)
        if source is None:
            path += f"{{{field}}}"
            continue
        name = f"path_parameter_{number}"
        before = pieces[:number] and path.rpartition("/")[2]
        after = pieces[number + 1][0] if number + 1 < len(pieces) else ""
        segment = _Segment(
            str(resource["name"]),
            *source,
            may_be_link=len(pieces) == 1 and not literal,
            alone=not (before or literal).rpartition("/")[2].strip(".")
            and not after.partition("/")[0].strip("."),
        )
        encoded[name] = {"type": "resolve", "resource": source[0], "field": segment}
        path += f"{{{name}}}"
    if encoded:
        kept = {name: one for name, one in params.items() if name not in resolved}
        endpoint["path"], endpoint["params"] = path, {**kept, **encoded}


def _is_resolved(param: Any) -> bool:
    return isinstance(param, Mapping) and param.get("type") == "resolve"


def _source(field: str, resolved: Mapping[str, Any]) -> tuple[str, str] | None:
    """The resource and the field of a placeholder; None if the value does not come from a parent."""
    if field in resolved:
        return str(resolved[field]["resource"]), str(resolved[field]["field"])
    scope, _, rest = field.partition(".")
    parent, _, name = rest.partition(".")
    return (parent, name) if scope == "resources" and name else None


class _Segment(JSONPath):
    """A JSONPath whose value is percent-encoded. dlt reads the parent's field with it.

    Args:
        resource: the resource that sends the request.
        parent: the resource whose row has the value.
        field: the JSONPath of the value in the row.
        may_be_link: whether the parameter is the whole path, and so may be a link. The transport judges its server.
        alone: whether the segment of the path has no other text, so that the value may not be `.` or `..`.
    """

    def __init__(self, resource: str, parent: str, field: str, *, may_be_link: bool, alone: bool) -> None:
        self._resource, self._parent, self._field = resource, parent, field
        self._may_be_link, self._alone = may_be_link, alone

    def find(self, datum: Any) -> list[DatumInContext]:
        """Returns the encoded value of the field in a row of the parent, as a list of one.

        Raises:
            UnfitPathValueError: with this value, the request would go to another endpoint.
        """
        return [DatumInContext(self._encoded(one.value)) for one in compile_path(self._field).find(datum)]

    def __str__(self) -> str:
        return self._field

    def __repr__(self) -> str:
        return self._field

    def _encoded(self, value: Any) -> str:
        text = "" if value is None else str(value)
        if not is_unicode(text):
            raise self._unfit("is not valid Unicode")
        if self._may_be_link and text.startswith(("/", "http://", "https://")):
            return self._link(text)
        if value is None:
            raise self._unfit("is null")
        if isinstance(value, (dict, list)):
            raise self._unfit("is no single value")
        if not text:
            raise self._unfit("is empty")
        if self._alone and not text.strip("."):
            # Encoded dots do not help: HTTP clients decode them, and then remove the segment.
            raise self._unfit(f"is `{text}`")
        return quote(text, safe="")

    def _link(self, text: str) -> str:
        if any(part in (".", "..") for part in urlsplit(text).path.replace("\\", "/").split("/")):
            raise self._unfit("is a link with dots for a segment")
        return text

    def _unfit(self, problem: str) -> UnfitPathValueError:
        return UnfitPathValueError(self._resource, self._parent, self._field, problem)
