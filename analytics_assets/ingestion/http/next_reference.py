"""Judges what a response names as the next page: a link or a cursor that a request can carry.

A blank text, `false`, 0, null and a missing field are the end of paging, which `dlt_paginators.py` knows.
"""

from __future__ import annotations

import math
import unicodedata
from typing import Any
from urllib.parse import urlsplit

from dlt.sources.helpers.rest_client.paginators import (
    BasePaginator,
    BaseReferencePaginator,
    HeaderCursorPaginator,
    HeaderLinkPaginator,
    JSONLinkPaginator,
    JSONResponseCursorPaginator,
)

from analytics_assets.ingestion.http.origins import origin_of
from analytics_assets.ingestion.json_kind import kind_of

_LINKS = (JSONLinkPaginator, HeaderLinkPaginator)
_CURSORS = (JSONResponseCursorPaginator, HeaderCursorPaginator)


def wrong_reference(paginator: BaseReferencePaginator, reference: Any) -> str:
    """Says what is wrong with a reference to the next page; empty if a request can carry it.

    Args:
        paginator: the paginator. Only dlt's own kinds are judged.
        reference: the link or the cursor, which is not empty.
    """
    if not isinstance(paginator, (*_LINKS, *_CURSORS)):
        return ""
    if isinstance(reference, str):
        is_link = isinstance(paginator, _LINKS)
        return _wrong_link(reference) if is_link else _wrong_text(reference)
    if isinstance(paginator, _LINKS):
        return f"{kind_of(reference)} and no link"
    if isinstance(reference, (dict, list)) and getattr(paginator, "cursor_body_path", None):
        return ""  # the cursor of Elasticsearch, for example, is a list
    is_number = isinstance(reference, (int, float)) and not isinstance(reference, bool)
    is_cursor = is_number and math.isfinite(reference)
    return "" if is_cursor else f"{kind_of(reference)} and no cursor"


def path_of(paginator: BasePaginator) -> tuple[str, str]:
    """Returns the path of the field or header in which a paginator finds the next page, and its setting."""
    match paginator:
        case JSONLinkPaginator():
            return str(paginator.next_url_path), "next_url_path"
        case JSONResponseCursorPaginator():
            return str(paginator.cursor_path), "cursor_path"
        case HeaderCursorPaginator():
            return paginator.cursor_key, "cursor_key"
    return "Link", "links_next_key"


def _wrong_link(link: str) -> str:
    if any(unicodedata.category(one) in ("Cc", "Cs") for one in link.strip()):
        return "a text with characters that no link has"
    try:
        scheme = urlsplit(link.strip()).scheme
    except ValueError:
        return "a malformed link"
    if scheme not in ("", "http", "https"):
        return f"a link of the scheme `{scheme[:20]}`"
    return "a malformed link" if scheme and not origin_of(link.strip()) else ""


def _wrong_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "a text that is not valid Unicode"
    return ""
