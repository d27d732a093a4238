"""The demo data: each row is a pure function of its number and of the current day.

A `Snapshot` holds the rows at the start of one UTC day. From day to day, rows are added, updated late (up to three
days after their creation) and deleted, as in a real shop. Nothing is stored: a day has the same rows on every machine.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Any

Row = dict[str, Any]

EPOCH = date(2026, 1, 1)
"""The first day with data."""

_CUSTOMERS = 120  # the number of customers on the first day; each day adds three
_PRODUCTS = 40
_TRANSACTIONS_PER_DAY = 60
_EVENTS_PER_DAY = 25
_DAY = timedelta(days=1)
_SUMMER_OFFICE = timezone(timedelta(hours=2))  # the times of events have a time zone other than UTC
_FIRST_NAMES = ("Ada", "Björn", "Chiara", "Dmitri", "Elif", "Fatou", "Grace", "Hiro", "Inés", "Jürgen")
_LAST_NAMES = ("Okafor", "Müller", "Tanaka", "O'Brien", "Silva", "Kowalski", "Haddad", "Nguyễn")
_CITIES = (("Lisboa", "PT"), ("Zürich", "CH"), ("Ōsaka", "JP"), ("Nairobi", "KE"), ("Québec", "CA"))
_CATEGORIES = ("books", "garden", "kitchen", "music")
_NOTES = ("gift", "call before delivery", 'says "hello"', "50% off, line one\nline two", "naïve café ☕")


class Snapshot:
    """All rows of all collections at 00:00 UTC of `day`.

    Each collection is a list of rows, sorted by `updated_at`, then by `id`.
    """

    def __init__(self, day: date) -> None:
        self.day = day
        self.now = _midnight(day)
        self._rows: dict[str, list[Row]] = {}
        self._cursors: dict[str, list[datetime]] = {}
        collections = (
            ("customers", _customers(day)),
            ("products", _products(day)),
            ("transactions", _transactions(day)),
            ("events", _events(day)),
        )
        for name, rows in collections:
            rows.sort(key=lambda row: (_instant(row), str(row["id"]).zfill(12)))
            self._rows[name] = rows
            self._cursors[name] = [_instant(row) for row in rows]

    def rows(
        self, collection: str, since: datetime | None = None, until: datetime | None = None
    ) -> list[Row]:
        """Returns the rows of `collection` with `since <= updated_at < until`. None means no bound."""
        cursors = self._cursors[collection]
        first = bisect_left(cursors, since) if since else 0
        last = bisect_left(cursors, until) if until else len(cursors)
        return self._rows[collection][first:last]


@lru_cache(maxsize=4)
def snapshot(day: date) -> Snapshot:
    """Returns the `Snapshot` of `day`. The latest four snapshots are cached."""
    return Snapshot(day)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _instant(row: Row) -> datetime:
    return datetime.fromisoformat(row["updated_at"])


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def _rng(kind: str, number: int) -> random.Random:
    return random.Random(f"{kind}/{number}")  # a str seed gives the same numbers on every machine


def _days(until: date) -> range:
    return range((until - EPOCH).days)


def _customers(day: date) -> list[Row]:
    rows = []
    for number in range(1, _CUSTOMERS + 3 * len(_days(day)) + 1):
        rng = _rng("customer", number)
        joined = _midnight(EPOCH) + _DAY * max(0, (number - _CUSTOMERS - 1) // 3)
        joined += timedelta(seconds=rng.randrange(86_400))
        moved = joined + _DAY * rng.randint(5, 60)
        if rng.random() < 0.03 and moved + _DAY * 3 <= _midnight(day):
            continue  # the customer was deleted
        city, country = rng.choice(_CITIES)
        if moved <= _midnight(day) and rng.random() < 0.2:
            city, country = rng.choice(_CITIES)
            updated = moved
        else:
            updated = joined
        rows.append(
            {
                "id": number,
                "name": f"{rng.choice(_FIRST_NAMES)} {rng.choice(_LAST_NAMES)}",
                "email": None if rng.random() < 0.1 else f"customer{number}@example.com",
                "address": {"city": city, "country": country},
                "credit_limit": None if rng.random() < 0.3 else _money(rng.randrange(10_000_00)),
                "is_active": rng.random() < 0.9,
                "created_at": _iso(joined),
                "updated_at": _iso(updated),
            }
        )
    return rows


def _products(day: date) -> list[Row]:
    rows = []
    for number in range(1, _PRODUCTS + 1):
        rng = _rng("product", number)
        price_changes = [_midnight(EPOCH) + _DAY * age for age in range(number, len(_days(day)) + 1, 45)]
        gone = rng.random() < 0.15
        rows.append(
            {
                "id": number,
                "sku": f"SKU-{number:04d}",
                "name": f"{rng.choice(_CATEGORIES).title()} no. {number}",
                "category": rng.choice(_CATEGORIES),
                "unit_price": _money(rng.randrange(1_00, 400_00) + 10 * len(price_changes)),
                "discontinued_at": _iso(_midnight(EPOCH) + _DAY * number) if gone else None,
                "updated_at": _iso(max(price_changes, default=_midnight(EPOCH))),
            }
        )
    return rows


def _transactions(day: date) -> list[Row]:
    rows = []
    for age in _days(day):
        for index in range(_TRANSACTIONS_PER_DAY + age % 7 * 4):
            number = age * 1000 + index + 1
            row = _transaction(number, _midnight(EPOCH) + _DAY * age, index, _midnight(day))
            if row:
                rows.append(row)
    return rows


def _transaction(number: int, day: datetime, index: int, now: datetime) -> Row | None:
    """Returns one sale as of `now`, or None after its deletion. The first two sales of a day never change."""
    rng = _rng("transaction", number)
    edges = (timedelta(), _DAY - timedelta(microseconds=1))
    within = timedelta(microseconds=rng.randrange(86_400_000_000))
    offset = edges[index] if index < len(edges) else within
    created = day + offset
    settled = created + timedelta(hours=rng.randint(1, 70))
    deleted = created + timedelta(hours=rng.randint(30, 140))
    if rng.random() < 0.02 and deleted < now and index >= len(edges):
        return None
    cents = rng.randrange(1, 2_000_00)
    refunded = rng.random() < 0.08
    late = rng.random() < 0.15 and settled < now and index >= len(edges)
    return {
        "id": number,
        "customer_id": rng.randint(1, _CUSTOMERS),
        "product_id": rng.randint(1, _PRODUCTS),
        "quantity": rng.randint(1, 5),
        "transaction_amount": _money(cents),
        "refunded_amount": _money(cents // 2) if late and refunded else None,
        "currency": rng.choice(("EUR", "USD", "JPY")),
        "status": "pending" if not late else "refunded" if refunded else "settled",
        "note": rng.choice(_NOTES) if rng.random() < 0.25 else None,
        "created_at": _iso(created),
        "updated_at": _iso(settled if late else created),
    }


def _events(day: date) -> list[Row]:
    rows = []
    for age in _days(day):
        for index in range(_EVENTS_PER_DAY):
            rng = _rng("event", age * 1000 + index)
            occurred = _midnight(EPOCH) + _DAY * age + timedelta(milliseconds=rng.randrange(86_400_000))
            items = [
                {"product_id": rng.randint(1, _PRODUCTS), "quantity": rng.randint(1, 3)}
                for _ in range(rng.choice((0, 0, 1, 2, 3)))
            ]
            rows.append(
                {
                    "id": f"evt_{age:05d}_{index:03d}",
                    "event_type": "basket" if items else rng.choice(("page_view", "search", "sign_in")),
                    "customer_id": rng.randint(1, _CUSTOMERS) if rng.random() < 0.7 else None,
                    "properties": {"path": f"/p/{rng.randint(1, 99)}", "ms": rng.randint(5, 900)},
                    "items": items,
                    "updated_at": occurred.astimezone(_SUMMER_OFFICE).isoformat(),
                }
            )
    return rows
