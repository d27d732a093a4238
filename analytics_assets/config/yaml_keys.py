"""Finds what is lost when a YAML file becomes Python values: a key that comes twice, and a template without quotes.

YAML forbids a key twice, but PyYAML silently keeps only the last one. Without quotes, YAML reads the braces of a
template as a mapping. All other rules judge the values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import yaml

from analytics_assets.config.validation_errors import Location, error_at

_MERGE = "tag:yaml.org,2002:merge"

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml, where PyYAML has it: it reads a file ten times as fast."""

_BEGINNINGS = ("{{", "{%", "{#")


class UnquotedTemplateError(ValueError):
    """A template in a YAML file has no quotes around it."""


def refuse_unquoted_templates(files: Iterable[Path]) -> None:
    """Fails if a file has a template without quotes.

    Dagster parses each file before a component sees it. Its error names neither the file nor the cure.

    Args:
        files: the paths of files `defs.yaml`.

    Raises:
        UnquotedTemplateError: the first template without quotes, with file and line.
    """
    for path in files:
        text = path.read_text()
        for line in unquoted_templates(text):
            written = text.splitlines()[line - 1].strip()
            begins = next(one for one in _BEGINNINGS if one in written)
            raise UnquotedTemplateError(
                f"{path}, line {line}: YAML reads the braces of a template as a mapping. Put quotes around the whole "
                f'value, which begins with `{begins}`: `"{begins} … {begins[::-1].replace("{", "}")}"`.'
            )


def unquoted_templates(text: str) -> Iterator[int]:
    """Yields the line of each template without quotes, from 1, until YAML cannot read on."""
    with suppress(yaml.YAMLError):
        for token in yaml.scan(text, Loader=LOADER):
            start = token.start_mark.index
            if isinstance(token, yaml.FlowMappingStartToken) and text.startswith(_BEGINNINGS, start):
                yield token.start_mark.line + 1


def refuse_repeated_keys(text: str, line: int) -> None:
    """Fails if a mapping of a document has a key twice. A key that a merge (`<<`) brings may be written again.

    Args:
        text: the text of the file, which may have several documents.
        line: the first line of the document, from 1.

    Raises:
        ValidationError: a key comes twice. The error names the key and both lines.
    """
    for document in yaml.compose_all(text, Loader=LOADER):
        if document is not None and document.start_mark.line + 1 == line:
            _judge(document)


def _judge(document: yaml.Node) -> None:
    seen: set[int] = set()  # an alias leads to a node that another place has, too
    rest: list[tuple[Location, yaml.Node]] = [((), document)]
    while rest:
        place, node = rest.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            rest += reversed([((*place, index), one) for index, one in enumerate(node.value)])
        elif isinstance(node, yaml.MappingNode):
            _judge_keys(place, node)
            rest += reversed([((*place, str(key.value)), one) for key, one in node.value])


def _judge_keys(place: Location, node: yaml.MappingNode) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        line, written = key.start_mark.line + 1, (key.tag, key.value)
        if written in lines:
            raise error_at(
                (*place, key.value),
                f"`{key.value}` is here twice, in line {lines[written]} and in line {line}, and only the last would "
                "count. Remove one of them.",
            )
        lines[written] = line
