"""Finds fields and headers of a response that contradict the end of paging, such as `total: 250` after 50 rows.

The tables in this module list all names that count as a contradiction. A name matches without regard to case and
punctuation, so `totalCount` and `total_count` are the same name. The fields must be beside the rows: in an object that
contains the rows, or in an object such as `meta` or `paging` beside the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from analytics_assets.ingestion.http.link_header import link_header, links_of


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TOTALS = _names(
    """
    total totalcount totalresults totalitems totalrecords totalrows totalelements totalentries totalsize
    totalhits totalnumber numfound rowcount recordcount recordstotal totalresultcount odatacount
    """
)
"""Names of the number of all rows."""

_PAGES = _names(
    """
    lastpage totalpages pagecount pagestotal numpages numberofpages totalpagecount pages
    """
)
"""Names of the number of all pages."""

_MORE = _names(
    """
    hasmore hasnext hasnextpage hasmorepage hasmorepages hasmoreitems hasmoreresults hasmorerecords more
    moreresults morerecords moreavailable moreresultsavailable moreitems moreitemsincollection istruncated truncated
    hasnextlink
    """
)
"""Names of flags that are true if there are more pages."""

_INCOMPLETE = _names("incompleteresults partialresults timedout")
"""Names of flags that are true if a search broke off, as those of GitHub and Elasticsearch, also on an empty page."""

_ENDED = _names(
    """
    islast islastpage last lastpage done endofrecords endofstream isfinalpage isend
    """
)
"""Names of flags that are true at the end."""

_NEXT = _names(
    """
    next nextpage nexturl nexturi nextlink nexthref nextpath nextpageurl nextpagelink nextpagetoken nexttoken
    nextcursor nextpagecursor nextmarker nextrecordsurl nextoffset nextstart odatanextlink continuationtoken
    continuation
    """
)
"""Names of a link or cursor to the next page."""

_TOKENS = _names("cursor offset")
"""Names of a text that leads to the next page, unless another field says that there is none. A number under such a name
is the place of this page."""

_NEXT_INSIDE = ("href", "url", "uri", "link", "after", "cursor", "token", "page", "offset")
"""The fields of an object such as `next` that lead to the next page."""

_BESIDE = _names(
    """
    meta metadata pagination paging page pages pageinfo pagecontext paginationinfo paginginfo pager links link
    resultinfo responsemetadata navigation cursors cursor hits info searchmetadata additionaldata
    """
)
"""Names of objects beside the rows that describe the page."""

LARGEST_COUNT = 10**18
"""No API has so many rows. A larger number is not believed."""

_DEPTH = 2  # `meta.pagination.total`

_TOTAL_HEADERS = ("x-total-count", "x-total", "total-count", "x-total-results", "x-total-items", "x-wp-total")
_PAGE_HEADERS = ("x-total-pages", "x-wp-totalpages", "x-page-count", "x-pages")
_NEXT_HEADERS = ("x-next-page", "x-next-cursor", "x-next-token", "x-continuation-token")
_MORE_HEADERS = ("x-has-more", "x-has-next", "x-has-next-page", "x-has-more-pages")


@dataclass(frozen=True)
class Read:
    """The pages that a paginator has read when paging ends.

    Attributes:
        rows: the number of rows of all pages.
        pages: the number of pages.
        last_rows: the number of rows of the last page.
        checks_total: whether the paginator itself compares the rows with a total.
    """

    rows: int
    pages: int
    last_rows: int
    checks_total: bool = False


def contradiction(response: Any, rows_path: tuple[str, ...], headers: Mapping[str, str], read: Read) -> str:
    """Describes the first field or header that contradicts the end of paging; empty if there is none.

    The description contains counts, but no link and no cursor, because these may contain secrets.

    Args:
        response: the parsed last response.
        rows_path: the names of the fields that lead to the rows; empty if the whole response is the list of rows.
        headers: the headers of the last response, with names in any case.
        read: the pages that the paginator has read.
    """
    found = list(_fields_beside(response, rows_path))
    ends = any(_is_end(name, value) for name, _, value in found)
    for name, path, value in found:
        clause = _clause(name, value, read, ends=ends)
        if clause:
            return f"has `{path}`{clause}"
    if read.last_rows and not ends and not any(name in _NEXT for name, _, _ in found):
        token = next((path for name, path, value in found if name in _TOKENS and _is_token(value)), None)
        if token:
            return f"has `{token}`, which leads to another page"
    by_name = {name.lower(): value for name, value in headers.items()}
    return _in_headers({**by_name, "link": link_header(headers)}, read)


def says_end(
    response: Any, rows_path: tuple[str, ...], rows: int, headers: Mapping[str, str] | None = None
) -> bool:
    """Whether a response says itself that there are no more rows.

    Args:
        response: the parsed response.
        rows_path: the names of the fields that lead to the rows.
        rows: the number of rows read so far.
        headers: the headers of the response, with names in any case, whose totals count too.
    """
    found = list(_fields_beside(response, rows_path))
    if any(name in _NEXT and leads_on(value) for name, _, value in found):
        return False
    totals = {_count(value) for name, value in (headers or {}).items() if name.lower() in _TOTAL_HEADERS}
    return rows in totals or any(
        _is_end(name, value)
        or (name in _NEXT and not leads_on(value))
        or (name in _TOTALS and _count(value) == rows)
        for name, _, value in found
    )


def _clause(name: str, value: Any, read: Read, *, ends: bool) -> str:
    number = _count(value)
    if name in _TOTALS and not read.checks_total and number is not None and number > read.rows:
        return f" {number:,}"
    if name in _PAGES and not read.checks_total and number is not None and number > read.pages:
        return f" {number:,}"
    if name in _INCOMPLETE and _flag(value) is True:
        return " true"
    # On a page without rows, a flag or a cursor proves nothing: some APIs send them with every page.
    if ends or not read.last_rows:
        return ""
    if (name in _MORE and _flag(value, numbers=True) is True) or (name in _ENDED and _flag(value) is False):
        return f" {str(value).lower()}"
    return ", which leads to another page" if name in _NEXT and leads_on(value) else ""


def _is_end(name: str, value: Any) -> bool:
    return (name in _MORE and _flag(value, numbers=True) is False) or (
        name in _ENDED and _flag(value) is True
    )


def _flag(value: Any, *, numbers: bool = False) -> bool | None:
    """Returns the value of a flag; None for others, such as the number of the last page in `last`.

    Args:
        value: the value of the field.
        numbers: whether 1 and 0 are flags, too.
    """
    if numbers and type(value) is int and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        words = {"true": True, "yes": True, "false": False, "no": False}
        return {**words, **({"1": True, "0": False} if numbers else {})}.get(value.lower())
    return value if isinstance(value, bool) else None


def _fields_beside(response: Any, rows_path: tuple[str, ...]) -> Iterator[tuple[str, str, Any]]:
    """Yields plain name, path and value of each field beside the rows, from the outermost object inward."""
    around: list[str] = []
    for field in rows_path:
        if not isinstance(response, dict):
            return
        yield from _fields(response, tuple(around), field, _DEPTH)
        around.append(field)
        response = response.get(field)


def _fields(
    found: Mapping[str, Any], around: tuple[str, ...], rows: str, depth: int
) -> Iterator[tuple[str, str, Any]]:
    for key, value in found.items():
        if key == rows:
            continue
        # OData 2 calls its total `__count`. A `count` may also be the number of rows of the page.
        name = "totalcount" if key == "__count" else plain(str(key))
        path = ".".join((*around, str(key)))
        yield name, path, value
        if name in _BESIDE and depth:
            if isinstance(value, dict):
                yield from _fields(value, (*around, str(key)), "", depth - 1)
            elif isinstance(value, list) and any(_is_next_link(one) for one in value):
                yield "next", path, "a link"


def _is_next_link(link: Any) -> bool:
    """Whether an item of a list of links, such as `{rel: next, href: …}`, leads to the next page."""
    return isinstance(link, dict) and any(
        plain(str(link.get(field))) in ("next", "nextpage") for field in ("rel", "relation")
    )


def plain(name: str) -> str:
    """Returns the letters and digits of a field name in lower case, as `orderid` for `orderId` and `order_id`."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _count(value: Any) -> int | None:
    if isinstance(value, dict):  # Elasticsearch: `total: {value: 250, relation: eq}`
        value = value.get("value")
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value, re.ASCII):
        return int(value)
    is_count = type(value) in (int, float) and value == value // 1 and value < LARGEST_COUNT
    return int(value) if is_count else None


def leads_on(value: Any) -> bool:
    """Whether the value of a field or header such as `next` leads to another page. `0` and `null` do not."""
    if isinstance(value, dict):
        return any(leads_on(value.get(field)) for field in _NEXT_INSIDE)
    if isinstance(value, str):
        return value.strip().lower() not in ("", "null", "none", "false", "0", "-1")
    return bool(value) and value != -1 and not isinstance(value, list)


def _is_token(value: Any) -> bool:
    return isinstance(value, str) and leads_on(value) and not value.isdigit()


def _in_headers(headers: Mapping[str, str], read: Read) -> str:
    for names, known in ((_TOTAL_HEADERS, read.rows), (_PAGE_HEADERS, read.pages)):
        for name in names:
            number = _count(headers.get(name, ""))
            if number is not None and number > known and not read.checks_total:
                return f"has the header `{name}` {number:,}"
    span = re.fullmatch(r"\s*\w+\s+\d+-\d+/(\d+)\s*", headers.get("content-range", ""))
    total = _count(span[1]) if span else None
    if total is not None and total > read.rows and not read.checks_total:
        return f"has the header `content-range` with a total of {total:,}"
    if not read.last_rows:
        return ""
    if any("next" in link.relations and leads_on(link.url) for link in links_of(headers["link"])):
        return "has the header `link` with rel=next"
    for name in _MORE_HEADERS:
        if _flag(headers.get(name, "").strip(), numbers=True):
            return f"has the header `{name}` true"
    return next((f"has the header `{name}`" for name in _NEXT_HEADERS if leads_on(headers.get(name, ""))), "")
