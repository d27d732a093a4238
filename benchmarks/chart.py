"""Draws `docs/benchmark.svg` from the measured seconds in RESULTS.md: one row of bars per way, one group per case.

Run it after RESULTS.md has new numbers: `.venv/bin/python benchmarks/chart.py`.
"""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
CHART = RESULTS.parent.parent / "docs" / "benchmark.svg"

WAYS = {
    "ours": "this project",
    "dlt as shipped": "dlt as shipped",
    "dlt tuned": "dlt tuned",
    "by hand": "by hand",
}
COLOURS = {"ours": "#1a7f37", "by hand": "#8c959f"}
OTHER = "#d4a72c"
WIDTH, LABEL, BAR, GAP = 760, 150, 18, 30  # in pixels; a bar's value stands right of it
ROOM = WIDTH - LABEL - 90


def measured() -> dict[str, dict[str, float]]:
    """Returns the seconds by case and way from the first table of RESULTS.md."""
    cases: dict[str, dict[str, float]] = {}
    table = re.search(r"(^\|.*\n)+", RESULTS.read_text(), re.MULTILINE)
    for line in table[0].splitlines()[2:] if table else ():
        case, way, seconds, *_ = (cell.strip() for cell in line.strip("|").split("|"))
        cases.setdefault(case, {})[way.removesuffix(", once")] = float(seconds)
    return cases


def draw(cases: dict[str, dict[str, float]]) -> str:
    """Returns the chart as SVG. The longest bar of each case has the whole width, because cases differ a lot."""
    lines, top = [], 0
    for case, seconds in cases.items():
        top += GAP
        lines.append(f'<text class="case" x="0" y="{top - 8}">{case}</text>')
        for way, value in seconds.items():
            length = max(2, round(ROOM * value / max(seconds.values())))
            y = top + BAR - 5
            lines += [
                f'<text x="{LABEL - 8}" y="{y}" text-anchor="end">{WAYS[way]}</text>',
                f'<rect x="{LABEL}" y="{top}" width="{length}" height="{BAR - 4}" fill="{COLOURS.get(way, OTHER)}"/>',
                f'<text x="{LABEL + length + 6}" y="{y}">{value:.2f} s</text>',
            ]
            top += BAR
    style = "text { font: 12px sans-serif; fill: #6e7781 } .case { font-weight: bold }"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 4}" width="{WIDTH}" role="img">'
    )
    return "\n".join([head, f"<style>{style}</style>", *lines, "</svg>"]) + "\n"


if __name__ == "__main__":
    CHART.write_text(draw(measured()))
