"""Reads `Link` headers by RFC 8288, as in `<https://api.example.com/things?page=2>; rel="next"`.

`requests` stops at a parameter without a value and at a comma or semicolon in quotes, and then misses the next page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from requests.structures import CaseInsensitiveDict

# A comma separates two links only before `<` or another comma, so that a bare URL and a text without quotes may have
# commas. Each pattern always matches and reads each character a fixed number of times.
_REST = r"[^;,]*(?:,(?!\s*(?:[<,]|$))[^;,]*)*"
_TARGET = re.compile(rf"[\s,]*(?:<([^<>]*)>|<?({_REST})){_REST}")
_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"?'
_PARAMETER = re.compile(rf';\s*([^\s=;,"]*)\s*(?:=\s*(?:{_QUOTED}|({_REST})))?{_REST}', re.DOTALL)
_NEXT_LINK = re.compile(r",\s*(?=<)")


@dataclass(frozen=True)
class Link:
    """One link of a `Link` header.

    Attributes:
        url: the target, which may be relative; empty if the header has none.
        parameters: the parameters by name in lower case. Of a repeated one, the first counts.
    """

    url: str
    parameters: dict[str, str]

    @property
    def relations(self) -> list[str]:
        """The relation types, such as `next`, in lower case."""
        return self.parameters.get("rel", "").lower().split()


def link_header(headers: Mapping[str, str]) -> str:
    """Returns the `Link` headers as one. A mapping of urllib3 has a repeated header several times."""
    return ", ".join(value for name, value in headers.items() if name.lower() == "link")


def links_of(header: str) -> Iterator[Link]:
    """Yields the links of a `Link` header, or of several ones that are joined by commas.

    A quote that is never closed would hide all links after it. Then no quote counts.
    """
    beside_targets = re.sub(r"<[^<>]*>", "", re.sub(r"\\.", "", header))
    if beside_targets.count('"') % 2:
        yield from _without_quotes(header)
        return
    at = 0
    while at < len(header):
        found = _TARGET.match(header, at)
        assert found is not None
        at = found.end()
        url = found[1] if found[1] is not None else found[2].strip("<> '\"")
        parameters: dict[str, str] = {}
        while header.startswith(";", at):
            one = _PARAMETER.match(header, at)
            assert one is not None
            at = one.end()
            quoted, token = one[2], one[3] or ""
            value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token.strip().strip("'")
            parameters.setdefault(one[1].lower(), value)
        at += 1
        if url.strip() or parameters:
            yield Link(url.strip(), parameters)


def _without_quotes(header: str) -> Iterator[Link]:
    """Yields the links of a header. A comma before `<` separates two links, and a semicolon two parameters."""
    for piece in _NEXT_LINK.split(header):
        target, _, rest = piece.strip(" \t,").removeprefix("<").partition(">")
        parameters: dict[str, str] = {}
        for one in rest.split(";"):
            name, _, value = one.partition("=")
            parameters.setdefault(name.strip().lower(), value.strip(" \t,").strip("\"'"))
        yield Link(target.strip(), parameters)


def links_by_relation(header: str) -> CaseInsensitiveDict[dict[str, str]]:
    """Returns the links by relation type, in the form of `requests.Response.links`.

    The key of a link without a relation type is its URL. Of several links with the same relation type, the last counts.
    """
    links: CaseInsensitiveDict[dict[str, str]] = CaseInsensitiveDict()
    for link in links_of(header):
        fields = {**link.parameters, "url": link.url}
        # `requests` has all relation types of a link as one key.
        for key in (link.parameters.get("rel") or link.url, *link.relations):
            links[key] = fields
    return links
