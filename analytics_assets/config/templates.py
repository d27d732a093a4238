"""The Jinja templates of a `defs.yaml`: renders them once, before the config is judged.

What belongs here: what is a template, what its value is, and when it is read. `template_types.py` gives a value the
type that its key expects.

A string without a template stays as it is, to the letter. A template in `auth` or `headers`, and any template of a
secret, is read when a run starts. Every other template is read when Dagster loads the file. `{% raw %}…{% endraw %}`
protects braces from Jinja: what is inside is read as in dlt's own docs, so that `{{` in `params`, `json`, `data`,
`path` or the `headers` of an endpoint means a literal `{`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from analytics_assets.config.secret_names import is_secret_default, looks_secret, names_a_secret
from analytics_assets.config.secret_reference import secret_reference
from analytics_assets.config.template_engine import (
    RAW,
    STAND_INS,
    VARIABLES,
    Parsed,
    UnsetError,
    doubled,
    is_template,
    parse,
    parts_of,
)
from analytics_assets.config.template_places import (
    in_endpoint,
    is_address,
    is_formatted,
    is_key,
    is_secret,
    may_be_secret,
    name_at,
    stands_in,
)
from analytics_assets.config.validation_errors import Location, error_at

_READ_AT_LOAD = frozenset({"type", "location", "default_token_expiration"})
"""The keys of `auth` that are no text for the API: which secrets there are, and a number."""


_PARAMETER = re.compile(r"(?:^|[?&])([\w.-]+)=\s*\{\{")
"""The name of a parameter in a URL or a form whose value is a template."""

_WRITTEN_PARAMETER = re.compile(r"[?&]([\w.-]+)=[^&{\s]")
"""The name of a parameter in a URL or a form whose value is written out."""

_OF_A_CONDITION = (
    "Write one such as `{{ dg.AutomationCondition.eager() }}` or "
    "`{{ dg.AutomationCondition.on_cron('0 2 * * *') }}`."
)
"""What to write in place of a condition that fails."""

_SETTINGS = object()
"""What `secrets` is when Dagster loads the file. No template that uses it is read then."""


class AtRun(str):
    """A template that is read when a run starts. As text it has a reference in place of each expression.

    Attributes:
        written: the template as the file has it.
        parts: the expressions of the template, by reference.
        place: where the template is in the file.
        is_secret: whether the values are secrets, so that only the transport may have them.
        is_key: whether the values are keys. A user name is none, so a row may well have it.
    """

    written: str
    parts: Mapping[str, Parsed]
    place: Location
    is_secret: bool
    is_key: bool

    @property
    def defaults(self) -> tuple[str, ...]:
        """The defaults that the template has itself."""
        return tuple(one for part in self.parts.values() for one in part.texts.defaults if one)

    def values(self, secrets: Any) -> dict[str, str]:
        """Returns the value of each expression, by reference.

        Args:
            secrets: the secrets of the source, by name.

        Raises:
            UnsetError: an environment variable of the template is not set.
            ValueError: the template fails.
        """
        found = {reference: part.value(secrets=secrets) for reference, part in self.parts.items()}
        return {reference: "" if value is None else str(value) for reference, value in found.items()}

    def with_values(self, values: Mapping[str, str]) -> str:
        """Returns the text with the value in place of each reference."""
        text = str(self)
        for reference, value in values.items():
            text = text.replace(reference, doubled(value) if is_formatted(self.place) else value)
        return text


@dataclass(frozen=True)
class Unset:
    """An environment variable that is not set when Dagster loads the file.

    Attributes:
        variable: the name of the variable.
        place: the key of the file that needs the variable.
        resource: the resource that needs the variable; None if every resource needs it.
        is_secret: whether the value is that of a secret.
    """

    variable: str
    place: Location
    resource: str | None = None
    is_secret: bool = False


DEFS_YAML = "defs.yaml"
"""The path of the file of a config that Python code builds."""


@dataclass(frozen=True)
class SourceFile:
    """The file of a config. The context of pydantic's validation passes it to the config.

    Attributes:
        path: the path of the `defs.yaml`, for error texts.
        unset: the variables of templates that were not set when the file was loaded.
    """

    path: str = DEFS_YAML
    unset: tuple[Unset, ...] = ()


@dataclass
class Rendered:
    """A file whose templates are rendered.

    Attributes:
        values: the rendered values. A value whose variable is not set is absent, or has a stand-in.
        unset: the variables that are not set.
    """

    values: Any
    unset: list[Unset] = field(default_factory=list)

    @property
    def has_gaps(self) -> bool:
        """Whether a value is absent that the rules of the config may need."""
        return any(not stands_in(one.place) for one in self.unset)


def render(written: Any, scope: Mapping[str, Any]) -> Rendered:
    """Renders every template of a file.

    Args:
        written: the `attributes` of the file.
        scope: what the templates may use, by name. `env` is always there, and reads the environment.

    Raises:
        ValidationError: a template cannot be parsed, uses an unknown name, or fails. The error names its key.
    """
    rendered = Rendered(None)
    known = {**scope, "env": VARIABLES, "secrets": _SETTINGS}
    rendered.values = _render(written, known, (), rendered.unset)
    rendered.unset = [_of_resource(one, rendered.values) for one in rendered.unset]
    return rendered


def _render(value: Any, scope: Mapping[str, Any], place: Location, unset: list[Unset]) -> Any:
    if isinstance(value, Mapping):
        items = (
            (_key(key, place), _render(item, scope, (*place, key), unset)) for key, item in value.items()
        )
        return {key: item for key, item in items if not isinstance(item, _Absent)}
    if isinstance(value, list):
        found = [_render(item, scope, (*place, index), unset) for index, item in enumerate(value)]
        return [item for item in found if not isinstance(item, _Absent)]
    return _render_text(value, scope, place, unset) if is_template(value) else value


def _render_text(value: str, scope: Mapping[str, Any], place: Location, unset: list[Unset]) -> Any:
    parsed = _parsed(value, scope, place)
    if parsed.settings and not may_be_secret(place):
        raise error_at(
            place,
            "`secrets` is for what is sent to the API: the base_url, path, params, headers, json, data and auth of "
            "rest_api. Write `{{ env.NAME }}` here.",
        )
    if may_be_secret(place) and not parsed.is_constant:
        _refuse_written_texts(parsed, place)
    has_parameters = is_address(place) or in_endpoint(place) == ("data",)
    in_query = has_parameters and any(map(names_a_secret, _PARAMETER.findall(value)))
    if in_query or _is_read_at_run(place, parsed):
        return _at_run(value, scope, place, is_known=in_query)
    try:
        read = parsed.value()
    except UnsetError as error:
        unset.append(Unset(str(error), place, is_secret=is_secret(place, parsed)))
        return _stand_in(parsed, place, str(error))
    except ValueError as error:
        is_condition = place[-1:] == ("automation_condition",)
        raise error_at(place, str(error).replace(RAW, _OF_A_CONDITION if is_condition else RAW)) from None
    if not isinstance(read, str) or not may_be_secret(place):
        return read
    looks_like_one = looks_secret(name_at(place), read)
    is_said_to_be_none = parsed.is_constant and names_a_secret(name_at(place))  # as `{{ 'public' }}`
    if is_said_to_be_none and parsed.literal is not None:
        return parsed.literal
    if looks_like_one or is_said_to_be_none:
        return _at_run(value, scope, place, is_known=looks_like_one)
    return read


def _refuse_written_texts(parsed: Parsed, place: Location) -> None:
    """Fails if a template has a secret itself, such as the default of a variable."""
    name, names = name_at(place), {*parsed.variables, *parsed.settings}
    named = "" if is_address(place) else name
    way_out = "{{ 'the text' }}"
    if any(is_secret_default(named, names, one) for one in parsed.texts.defaults):
        what = "a default"
        if parsed.variables:
            read = f"env.{min(parsed.variables)}"
            way_out = f"{{% if {read} %}}{{{{ {read} }}}}{{% else %}}{way_out}{{% endif %}}"
    elif any(
        looks_secret(named, one) or any(map(names_a_secret, _WRITTEN_PARAMETER.findall(one)))
        for one in parsed.texts.others
    ):
        what = "a text"
    else:
        return
    raise error_at(
        place,
        f"`{name}` has {what} in its template that looks like a secret, and secrets do not belong in this file. "
        f"Remove it, and set the variable where Dagster runs. If it is no secret, write `{way_out}`.",
    )


def _key(key: Any, place: Location) -> Any:
    if not is_template(key):
        return key
    parsed = _parsed(key, {"env": VARIABLES}, (*place, key))
    if parsed.has_expressions:
        raise error_at(
            (*place, key), f"`{key}` is a key, and a key cannot be a template. Write the name. {RAW}"
        )
    return str(parsed.value())


class _Absent:
    """The value of a key that is left out, because its variable is not set."""


def _stand_in(parsed: Parsed, place: Location, variable: str) -> Any:
    if place == ("name",) or (place[:2] == ("rest_api", "resources") and place[3:] == ("name",)):
        return "unset_" + re.sub(r"[^a-z0-9]+", "_", variable.lower()).strip("_")
    if place == ("rest_api", "client", "base_url"):
        return ""
    if not parsed.is_whole:
        return parsed.value(STAND_INS)
    return STAND_INS(variable) if stands_in(place) else _Absent()


def _is_read_at_run(place: Location, parsed: Parsed) -> bool:
    match in_endpoint(place):
        case ("headers", _, *_):
            return True
        case ("auth", key, *_):
            return key not in _READ_AT_LOAD
    return may_be_secret(place) and not parsed.is_constant and is_secret(place, parsed)


def _at_run(text: str, scope: Mapping[str, Any], place: Location, *, is_known: bool = False) -> AtRun:
    """Returns a template with a reference in place of each expression, which is read when a run starts.

    Args:
        text: the template.
        scope: what the template may use, by name.
        place: where the template is in the file.
        is_known: whether the value is known to be a key.
    """
    name = ".".join(map(str, place[2:] if place[:2] == ("rest_api", "client") else place[1:]))
    found: dict[str, Parsed] = {}
    shown = []
    for part in parts_of(text, scope):
        if isinstance(part, str):
            shown.append(part)
            continue
        reference = secret_reference(f"{name}.{len(found) + 1}" if found else name)
        found[reference] = part
        shown.append(reference)
    at_run = AtRun("".join(shown))
    at_run.written, at_run.parts, at_run.place = text, found, place
    at_run.is_key = is_known or any(is_key(place, part) for part in found.values())
    at_run.is_secret = at_run.is_key or any(is_secret(place, part) for part in found.values())
    return at_run


def _of_resource(unset: Unset, values: Any) -> Unset:
    match unset.place:
        case ("assets", str(name), *_):
            return replace(unset, resource=name)
        case ("rest_api", "resources", int(index), *_):
            resources = values["rest_api"].get("resources")
            one = resources[index] if isinstance(resources, list) and index < len(resources) else None
            return replace(unset, resource=one.get("name") if isinstance(one, Mapping) else None)
    return unset


def _parsed(text: str, scope: Mapping[str, Any], place: Location) -> Parsed:
    try:
        return parse(text, scope, formatted=is_formatted(place))
    except ValueError as error:
        raise error_at(place, str(error)) from None
