"""The circuit as a state machine: by example, and under every history one can think of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.circuit_breaker import Circuit, Event, Kind, Phase, Policy

POLICY = Policy(cooldown=10, max_cooldown=60, lease=5)
DOWN = SyncHalted("orders", "GET /orders", 503, 4, "503 Service Unavailable", outage=True)


def log(*events: tuple[float, str, str]) -> list[Event]:
    """Events from (moment, kind, by)."""
    return [
        Event(number, at, Kind(kind), by, cause=DOWN if kind == "opened" else None)
        for number, (at, kind, by) in enumerate(events)
    ]


def circuit(*events: tuple[float, str, str]) -> Circuit:
    return Circuit(POLICY).after(log(*events))


def test_it_opens_and_is_due_when_the_cool_down_is_over() -> None:
    opened = circuit((100, "opened", "a"))
    assert [opened.phase(now) for now in (100, 109.9, 110)] == [Phase.OPEN, Phase.OPEN, Phase.DUE]
    assert opened.until == 110


def test_the_first_claim_is_the_probe_and_all_others_are_refused() -> None:
    claimed = circuit((100, "opened", "a"), (110, "probe", "b"), (110.1, "probe", "c"))
    assert claimed.phase(111) is Phase.PROBING
    assert not claimed.refuses("b", 111)
    assert claimed.refuses("c", 111)


def test_a_claim_before_its_time_is_none() -> None:
    assert circuit((100, "opened", "a"), (109, "probe", "b")).phase(109.5) is Phase.OPEN


def test_a_success_closes_and_forgets() -> None:
    closed = circuit((100, "opened", "a"), (110, "probe", "b"), (111, "closed", "b"))
    assert closed == Circuit(POLICY)


def test_each_probe_that_fails_doubles_the_cool_down_up_to_the_cap() -> None:
    now, history, waits = 100.0, log((100, "opened", "a")), []
    for number in range(6):
        until = Circuit(POLICY).after(history).until
        assert until is not None
        waits.append(until - now)
        now = until + 1
        by = f"probe {number}"
        history += [
            Event(0, until, Kind.PROBE, by),
            Event(0, now, Kind.OPENED, by, cause=DOWN),
        ]
    assert waits == [10, 20, 40, 60, 60, 60]


def test_others_that_fail_on_their_way_change_nothing() -> None:
    one = circuit((100, "opened", "a"))
    assert one.after(log((103, "opened", "b"))) == one
    probing = circuit((100, "opened", "a"), (110, "probe", "b"))
    assert probing.after(log((111, "opened", "a"))) == probing


def test_a_probe_that_says_nothing_is_followed_by_another() -> None:
    dead = circuit((100, "opened", "a"), (110, "probe", "b"))
    assert dead.phase(114.9) is Phase.PROBING
    assert dead.phase(115) is Phase.DUE
    again = dead.after(log((115, "probe", "c")))
    assert not again.refuses("c", 116)
    assert again.refuses("b", 116)
    assert again.failures == 1, "a probe that died says nothing of the API"


def test_a_person_opens_it_for_good_and_resets_it() -> None:
    held = circuit((100, "held", ""), (200, "probe", "a"), (201, "closed", "a"), (202, "opened", "a"))
    assert held.phase(1e9) is Phase.HELD
    assert held.refuses("a", 1e9)
    assert held.after(log((300, "reset", ""))) == Circuit(POLICY)


@pytest.mark.parametrize(
    ("events", "now", "said"),
    [
        ([(0, "opened", "a")], 1, "the circuit of an_api is open since 1970-01-01 00:00:00 UTC: halted after 4 "
         "attempts of GET /orders: 503 Service Unavailable; it may be asked again after 1970-01-01 00:00:10 UTC, or "
         "once the job an_api__circuit_reset has run"),
        ([(0, "opened", "a")], 20, "the next run finds out whether it is over"),
        ([(0, "opened", "a"), (10, "probe", "b")], 11, "finding out whether it is over, and another one may after "
         "1970-01-01 00:00:15 UTC"),
        ([(0, "opened", "a"), (10, "probe", "b"), (11, "opened", "b")], 12, "since 1970-01-01 00:00:00 UTC: halted "
         "after 4 attempts of GET /orders: 503 Service Unavailable; a probe at 1970-01-01 00:00:11 UTC failed with "
         "503 Service Unavailable; it may be asked again after 1970-01-01 00:00:31 UTC"),
        ([(0, "held", "")], 20, "open by hand since 1970-01-01 00:00:00 UTC; the job an_api__circuit_reset closes it"),
        ([], 20, "the circuit of an_api is closed"),
    ],
)  # fmt: skip
def test_a_person_is_told_why_and_until_when(
    events: list[tuple[float, str, str]], now: float, said: str
) -> None:
    assert said in circuit(*events).sentence("an_api", now)


# Any history of a handful of processes, whatever they do and in whatever order their events arrive.
PROCESSES = ("a", "b", "c")
HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(list(Kind)),
        st.sampled_from(PROCESSES),
    ),
    max_size=25,
)


def history(steps: list[tuple[int, Kind, str]]) -> list[Event]:
    now, events = 0.0, []
    for number, (passed, kind, by) in enumerate(steps):
        now += passed
        events.append(Event(number, now, kind, by, cause=DOWN if kind is Kind.OPENED else None))
    return events


@given(HISTORIES, st.integers(0, 200))
def test_at_no_moment_may_two_ask_and_nobody_while_it_cools_down(
    steps: list[tuple[int, Kind, str]], later: int
) -> None:
    events = history(steps)
    now = (events[-1].at if events else 0) + later
    state = Circuit(POLICY).after(events)
    phase = state.phase(now)
    let_through = [by for by in PROCESSES if not state.refuses(by, now)]
    if phase in (Phase.CLOSED, Phase.DUE):
        assert let_through == list(PROCESSES)
    elif phase is Phase.PROBING:
        assert len(let_through) == 1
    else:
        assert let_through == []
    if phase in (Phase.OPEN, Phase.PROBING, Phase.DUE):
        assert state.latest is not None
        assert state.until is not None
        assert 1 <= state.failures <= len(events)
        assert 10 <= state.until - state.latest.at <= 60


@given(HISTORIES)
def test_when_it_is_due_exactly_one_of_any_number_of_claims_is_let_through(
    steps: list[tuple[int, Kind, str]],
) -> None:
    events = history(steps)
    now = (events[-1].at if events else 0) + 1000
    state = Circuit(POLICY).after(events)
    if state.phase(now) is not Phase.DUE:
        return
    claimed = state.after([Event(1000 + n, now, Kind.PROBE, f"claim {n}") for n in range(16)])
    assert [n for n in range(16) if not claimed.refuses(f"claim {n}", now)] == [0]


@given(HISTORIES, HISTORIES)
def test_a_reset_forgets_everything_and_nothing_wedges_it(
    before: list[tuple[int, Kind, str]], after: list[tuple[int, Kind, str]]
) -> None:
    past = history(before)
    start = past[-1].at if past else 0.0
    reset = Event(len(past), start, Kind.RESET)
    assert Circuit(POLICY).after([*past, reset]) == Circuit(POLICY)
    future = [replace(event, at=event.at + start) for event in history(after)]
    state = Circuit(POLICY).after([*past, reset, *future])
    assert state == Circuit(POLICY).after(future)
    # But for a person's hold, a long enough wait always ends in a state that asks.
    assert state.phase(start + 1e6) in (Phase.CLOSED, Phase.DUE, Phase.HELD)


@given(HISTORIES, st.integers(0, 25))
def test_reading_in_two_parts_is_reading_at_once(steps: list[tuple[int, Kind, str]], cut: int) -> None:
    events = history(steps)
    assert Circuit(POLICY).after(events[:cut]).after(events[cut:]) == Circuit(POLICY).after(events)
