"""The place of a page number, offset or limit in a request."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

from dlt.common.jsonpath import set_value_at_path
from requests import Request


@dataclass(frozen=True)
class Place:
    """The place of a page number, offset or limit in a request: a query parameter or a path in the JSON body."""

    param: str | None
    body_path: str | None

    @property
    def name(self) -> str:
        """The name of the parameter or body path that the user wrote."""
        return str(self.param or self.body_path)

    @property
    def mark(self) -> str:
        """The placeholder for the number in the template of all page requests.

        Neither URL encoding nor JSON changes the characters of the placeholder, whatever the name of the parameter is.
        """
        return f"~{self.name.encode().hex()}~"

    def put(self, request: Request, value: int | str) -> None:
        """Puts a number, or the placeholder, into dlt's request."""
        if self.param:
            request.params = {**(request.params or {}), self.param: value}
        else:
            request.json = deepcopy(request.json or {})
            set_value_at_path(request.json, str(self.body_path), value)
