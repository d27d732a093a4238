"""Where a template is in a `defs.yaml`, and what this says about its value.

What belongs here: what follows from a place in the file. `templates.py` renders the templates, and `secret_names.py`
judges names.
"""

from __future__ import annotations

from analytics_assets.config.secret_names import is_plain_header, names_a_secret, variable_of_a_secret
from analytics_assets.config.template_engine import Parsed
from analytics_assets.config.validation_errors import Location

_FORMATTED = frozenset({"params", "json", "data", "headers"})
"""The keys of an endpoint whose texts dlt formats with `str.format`, so that a brace in them must be doubled."""

_SECRET_FIELDS = frozenset({"client_id", "username"})
"""The fields of `auth` that are a secret if a template says where their value is."""


def in_endpoint(place: Location) -> Location:
    """The part of `place` within a client or an endpoint; empty outside."""
    match place:
        case ("rest_api", "client", *rest):
            return tuple(rest)
        case ("rest_api", "resources", int(), "endpoint", *rest):
            return tuple(rest)
        case ("rest_api", "resource_defaults", "endpoint", *rest):
            return tuple(rest)
    return ()


def may_be_secret(place: Location) -> bool:
    """Whether the value at `place` is sent to the API, so that the transport can insert a secret there."""
    match in_endpoint(place):
        case ("base_url" | "path",):
            return True
        case ("params" | "json" | "data" | "headers" | "auth" as part, *rest):
            return bool(rest) or part == "data"
    return False


def is_key(place: Location, parsed: Parsed) -> bool:
    """Whether a template is that of a key: by its place, or by the names that it reads."""
    named = not is_address(place) and names_a_secret(name_at(place))
    return named or bool(parsed.settings) or any(map(variable_of_a_secret, parsed.variables))


def is_secret(place: Location, parsed: Parsed) -> bool:
    """Whether a template is that of a secret: a key, a user name, or a header that is not known to be plain."""
    name = name_at(place)
    match in_endpoint(place):
        case ("headers", *_) if not is_plain_header(name):
            return True
        case ("auth", *_) if name in _SECRET_FIELDS:
            return True
    return is_key(place, parsed)


def is_address(place: Location) -> bool:
    """Whether the value at `place` is a URL or a path, so that its key says nothing about its parts."""
    return in_endpoint(place) in (("base_url",), ("path",))


def name_at(place: Location) -> str:
    """The innermost key of a place that is a name."""
    return next((one for one in reversed(place) if isinstance(one, str)), "")


def is_formatted(place: Location) -> bool:
    """Whether dlt formats the text at `place` with `str.format`."""
    match place:
        case ("rest_api", "client", *_):
            return False  # dlt sends the headers of the client as they are
    return in_endpoint(place)[:1] in {(one,) for one in _FORMATTED}


def stands_in(place: Location) -> bool:
    """Whether any text may stand for the value at `place`, because only the API reads it."""
    endpoint = in_endpoint(place)
    return endpoint[:1] == ("base_url",) or (
        endpoint[:1] == ("path",) or (len(endpoint) > 1 and endpoint[0] in _FORMATTED)
    )
