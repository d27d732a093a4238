"""The secrets of `rest_api`: which fields of an `auth` hold one, and the refusal of a secret that is written out.

What belongs here: rules about secrets in the file. `secret_names.py` judges names and texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dlt.common.configuration.specs.base_configuration import BaseConfiguration, is_secret_hint
from dlt.sources.rest_api.config_setup import AUTH_MAP

from analytics_assets.config.endpoints import clients
from analytics_assets.config.secret_names import (
    is_plain_header,
    looks_secret,
    name_of_setting,
    names_a_secret,
)
from analytics_assets.config.templates import AtRun
from analytics_assets.config.validation_errors import Location, error_at, named

_BASIC = "http_basic"
_LEAST_DIGITS = 5
_PARTS = ("headers", "params", "json", "data")
_PLACEHOLDERS = ("{resources.", "{incremental.")


def auths(rest_api: Mapping[str, Any]) -> Iterator[tuple[Location, dict[str, Any]]]:
    """Yields each `auth` that is a text or a mapping, with its path in the config."""
    for place, client in clients(rest_api):
        auth = client.get("auth")
        if isinstance(auth, str):
            yield (*place, "auth"), {"type": auth}  # in dlt, the text `bearer` is short for `{type: bearer}`
        elif isinstance(auth, dict):
            yield (*place, "auth"), auth


def secrets_of_objects(rest_api: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the secrets of each `auth` that is an object, as in the Python form.

    Yields:
        The class and the attribute, such as `BearerTokenAuth.token`, and the value.
    """
    for _, client in clients(rest_api):
        auth = client.get("auth")
        if auth is None or isinstance(auth, (str, dict)):
            continue
        fields = auth.get_resolvable_fields() if isinstance(auth, BaseConfiguration) else {}
        for name, value in vars(auth).items():
            is_named = names_a_secret(name) or is_secret_hint(fields.get(name, str))
            if is_named and isinstance(value, str) and value:
                yield f"{type(auth).__name__}.{name}", value


def secret_templates(value: Any) -> Iterator[AtRun]:
    """Yields each template of a secret in a config."""
    if isinstance(value, AtRun):
        if value.is_secret:
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from secret_templates(item)
    elif isinstance(value, list):
        for item in value:
            yield from secret_templates(item)


def secret_names_of(auth: Mapping[str, Any]) -> list[str]:
    """The names of the secret fields of an auth mapping, such as `api_key` or `token`."""
    spec = AUTH_MAP.get(auth.get("type", "bearer"))
    fields = spec.get_resolvable_fields() if spec else {}
    # dlt itself fills a field marked `NotResolved` at run time, for example the OAuth2 access token.
    secret = [
        field for field, hint in fields.items() if is_secret_hint(hint) and "NotResolved" not in str(hint)
    ]
    if auth.get("type") != _BASIC:
        return secret
    # Many APIs take the key as the user name, and no password.
    if auth.get("password") == "":
        return ["username"]
    return ["username", *secret] if auth.get("username") is None else secret


def refuse_written_secrets(rest_api: Mapping[str, Any], source: str) -> None:
    """Fails at the first secret that is written out.

    Args:
        rest_api: the config of the API.
        source: the name of the API, for the name of the setting.

    Raises:
        ValidationError: a secret field of an `auth` has a value, or another value is named or looks like a secret.
    """
    for place, auth in auths(rest_api):
        for field in secret_names_of(auth):
            value = None if field == "client_id" else auth.get(field)
            if isinstance(value, AtRun):
                value = value.defaults or None
            if value is not None:
                raise error_at(
                    (*place, field),
                    f"`{field}` is a secret, and secrets do not belong in this file. Remove it here, and set "
                    f"{name_of_setting(source, field)} or add it to .dlt/secrets.toml. If it is no secret, write "
                    "`{{ 'the text' }}`.",
                )
        _refuse_in(rest_api, auth.get("access_token_request_data"), (*place, "access_token_request_data"))
        _refuse_in_url(rest_api, auth.get("access_token_url"), (*place, "access_token_url"))
    _refuse_in_base_url(rest_api.get("client") or {})
    for place, client in clients(rest_api):
        for part in _PARTS:
            _refuse_in(rest_api, client.get(part), (*place, part))
        _refuse_in_url(rest_api, client.get("path"), (*place, "path"))
        _refuse_in_form(rest_api, client.get("data"), (*place, "data"))


def _refuse_in_url(rest_api: Mapping[str, Any], url: Any, place: Location) -> None:
    """Fails if a URL or a path has a secret that is written out."""
    if isinstance(url, str) and not isinstance(url, AtRun):
        address, _, query = url.partition("?")
        _refuse_in(rest_api, address, place)
        _refuse_in_form(rest_api, query, place)


def _refuse_in_form(rest_api: Mapping[str, Any], form: Any, place: Location) -> None:
    """Fails if a text such as `a=1&password=abc` has a secret that is written out."""
    if isinstance(form, str) and not isinstance(form, AtRun):
        for name, value in parse_qsl(form):
            _refuse_in(rest_api, value, place, name)


def _refuse_in(rest_api: Mapping[str, Any], value: Any, place: Location, name: str = "") -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_in(rest_api, item, (*place, key), str(key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _refuse_in(rest_api, item, (*place, index), name)
    elif _is_written_secret(value, name, place):
        raise error_at(place, named(rest_api, place, _sentence(name, in_header="headers" in place)))


def _sentence(name: str, *, in_header: bool) -> str:
    what = f"`{name}`" if name else "this text"
    variable = re.sub(r"\W+", "_", name).upper() or "NAME"
    auth = f", or write `auth: {{type: api_key, name: {name}, location: header}}`" if in_header else ""
    return (
        f"{what} looks like a secret, and secrets do not belong in this file. Write `{{{{ env.{variable} }}}}` here, "
        f"and set the variable{auth}. `{{{{ secrets.<name> }}}}` reads .dlt/secrets.toml. If it is no secret, write "
        "`{{ 'the text' }}`."
    )


def _is_written_secret(value: Any, name: str, place: Location) -> bool:
    if isinstance(value, (bool, AtRun)) or not isinstance(value, (str, int)) or value == "":
        return False
    text = str(value)
    if isinstance(value, int) and len(text) < _LEAST_DIGITS:
        return False  # a number such as a limit
    if any(one in text for one in _PLACEHOLDERS):
        return False
    if looks_secret(name, text):
        return True
    return names_a_secret(name) and not ("headers" in place and is_plain_header(name))


def _refuse_in_base_url(client: Mapping[str, Any]) -> None:
    base_url = client.get("base_url")
    if not isinstance(base_url, str):
        return
    try:
        parts = urlsplit(base_url)
    except ValueError:
        return  # the base URL has a rule of its own
    if "@" in parts.netloc:
        problem, cure = "a user name or a password", "Write `auth: {type: http_basic}` for them"
    elif isinstance(base_url, AtRun) and any(one in parts.netloc for one in base_url.parts):
        problem, cure = (
            "a secret in the name of the server",
            "Write `{{ env.NAME }}`, with a variable whose name has no word such as key or token",
        )
    elif isinstance(base_url, AtRun) and any(one in parts.query for one in base_url.parts):
        problem, cure = "a secret in its query", "Write `auth: {type: api_key, name: …, location: query}`"
    else:
        _refuse_in_url({}, base_url, ("client", "base_url"))
        return
    raise error_at(("client", "base_url"), f"the base_url has {problem}. {cure}, and remove it here.")
