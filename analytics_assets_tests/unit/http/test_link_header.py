"""`Link` headers by RFC 8288: what they lead to, and that paging follows them to the last row."""

from __future__ import annotations

import time
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

from analytics_assets.ingestion.http.end_hints import Read, contradiction
from analytics_assets.ingestion.http.link_header import links_by_relation

READ = Read(rows=50, pages=1, last_rows=50)
U = "/u?page=2"

NEXT: list[tuple[str, str]] = [
    # the header, the URL of the next page
    (f'<{U}>; rel="next"', U),
    (f"<{U}>; rel=next", U),
    (f"<{U}>; rel='next'", U),
    (f"<{U}>;rel=next;", U),
    (f'<{U}>; rel = "next" ', U),
    (f'<{U}>; REL="next"', U),
    (f'<{U}>; rel="NEXT"', U),
    (f'<{U}>; rel="next last"', U),
    (f'<{U}>; rel="last\tnext"', U),
    (f'<{U}>; rel="next"; rel="prev"', U),
    (f'<{U}>; rel="ne\\xt"', U),
    (f'<{U}>; crossorigin; rel="next"', U),
    (f'<{U}>; crossorigin ; rel="next"', U),
    (f'<{U}>; =; rel="next"', U),
    (f'<{U}>; title=; rel="next"', U),
    (f'<{U}>; title=""; rel="next"', U),
    (f'<{U}>; title="a=b"; rel="next"', U),
    (f'<{U}>; title=a=b; rel="next"', U),
    (f'<{U}>; title="x;y"; rel="next"', U),
    (f'<{U}>; title="x, <y>; rel=prev"; rel="next"', U),
    (f'<{U}>; title="x \\"y\\"; z"; rel="next"', U),
    (f'<{U}>; title="5" wide"; rel="next"', U),
    (f"<{U}>; title*=UTF-8''a%20b; rel=\"next\"", U),
    ('</u;jsessionid=A?page=2>; rel="next"', "/u;jsessionid=A?page=2"),
    ('</u?ids=1,2, 3;4>; rel="next"', "/u?ids=1,2, 3;4"),
    ('</u?a=">; rel="next"', '/u?a="'),
    ('< /u?page=2 >; rel="next"', U),
    ('/u?ids=1,2; rel="next"', "/u?ids=1,2"),
    (f'<{U}; rel="next"', U),
    (f'<{U}>; title=a, b; rel="next"', U),
    (f'</u>; rel="first", <{U}>; rel="next"', U),
    (f'</u>; rel="first",<{U}>; rel="next",</u?page=9>; rel="last"', U),
    (f'</u>; rel="self" , , <{U}>; rel="next",', U),
    (f'</style.css>, <{U}>; rel="next"', U),
    (f'</u>; title="a, <b>"; rel="first", <{U}>; rel="next"', U),
    (f'</a;b,c>; rel=prev; crossorigin, <{U}>; rel="next"', U),
    (f'<https://api.example.com{U}>; rel="next"; results="true"; cursor="0:100:0"', f"https://api.example.com{U}"),
    (f'<{U}>; rel="http://example.com/rel/next next"', U),
    # a quote that is never closed
    (f'<{U}>; rel="next', U),
    (f'<{U}>; rel=next"', U),
    (f'<{U}>; title="a; rel="next"', U),
    (f'<{U}>; rel="next"; title="a', U),
    (f'</u>; rel="prev, <{U}>; rel="next"', U),
    (f'</u>; title="a, <{U}>; rel="next"', U),
    (f'</u>; title="a, <{U}>; rel=next', U),
    (f'</u>; rel="first", </v>; rel="prev; title="a b", <{U}>; rel="next"', U),
    (f'<{U}>; rel="next", </u>; rel="last', U),
    (f'</u?a=">; rel=prev", <{U}>; rel="next"', U),
    (f'</u>; title="a\\" b, <{U}>; rel=next', U),
]  # fmt: skip

NONE = [
    "",
    ",",
    ";",
    '<',
    '</u>; rel="prev"',
    '</u>; rel="prev"; title="rel=next"',
    '</u>; rel="prev"; title="; rel=next"',
    '</u>; rel="prev"; title=", </v>; rel=next"',
    '</u>; rel="prev"; rel="next"',
    '</u>; rel="nextpage"',
    '</u>; rel="prev-next"',
    '</u>; rel="http://example.com/next"',
    '</u>; rev="next"',
    '</u>; title="next"',
    "</u>",
    '<>; rel="next"',
    '< >; rel="next"',
    '<u;rel=next>',
    '</u>; rel="prev',
    '</u>; title="next',
    '"',
    '<"',
    '>; rel="next',
]  # fmt: skip


@pytest.mark.parametrize(("header", "url"), NEXT)
def test_the_next_page(header: str, url: str) -> None:
    assert links_by_relation(header)["next"]["url"] == url
    assert contradiction([], (), {"Link": header}, READ) == "has the header `link` with rel=next"


@pytest.mark.parametrize("header", NONE)
def test_no_next_page(header: str) -> None:
    assert not links_by_relation(header).get("next", {}).get("url")
    assert contradiction([], (), {"Link": header}, READ) == ""


def test_a_repeated_header() -> None:
    headers = HTTPHeaderDict()
    headers.add("Link", f"<{U}>; rel=next")
    headers.add("link", "</u>; rel=first")
    assert contradiction([], (), headers, READ) == "has the header `link` with rel=next"


def test_the_form_of_requests() -> None:
    links = links_by_relation('</a>; rel="prev first"; title="x", </b>')
    assert dict(links) == {
        "prev first": {"url": "/a", "rel": "prev first", "title": "x"},
        "prev": {"url": "/a", "rel": "prev first", "title": "x"},
        "first": {"url": "/a", "rel": "prev first", "title": "x"},
        "/b": {"url": "/b"},
    }


@pytest.mark.matrix(keep=4)
@pytest.mark.parametrize(
    "piece", ["<", "<,", ",", ", ", ";", '"', ';a="\\"', ";a=,", "<>", "< ", "\\", '<a>;="', ";a=, "]
)
def test_a_long_header_takes_no_long_time(piece: str) -> None:
    begin = time.process_time()
    links: Any = links_by_relation(piece * 100_000)
    assert len(links) <= 2
    assert time.process_time() - begin < 2
