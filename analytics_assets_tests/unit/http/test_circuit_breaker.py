"""The circuit as a state machine, with examples and with random histories."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.ingestion.errors import SyncHalted
from analytics_assets.ingestion.http.circuit_breaker import (
    Circuit,
    CircuitEvent,
    CircuitEventKind,
    Phase,
    Policy,
)

POLICY = Policy(cooldown=10, max_cooldown=60, lease=5)
DOWN = SyncHalted("orders", "GET /orders", 503, 4, "503 Service Unavailable", outage=True)


def history_of(*events: tuple[float, str, str]) -> list[CircuitEvent]:
    """Creates events from tuples of moment, kind and writer."""
    return [
        CircuitEvent(number, at, CircuitEventKind(kind), by, "1234567890", DOWN if kind == "opened" else None)
        for number, (at, kind, by) in enumerate(events)
    ]


def circuit(*events: tuple[float, str, str]) -> Circuit:
    return Circuit(POLICY).after(history_of(*events))


def test_it_opens_and_is_half_open_when_the_cool_down_is_over() -> None:
    opened = circuit((100, "opened", "a"))
    assert [opened.phase(now) for now in (100, 109.9, 110)] == [Phase.OPEN, Phase.OPEN, Phase.HALF_OPEN]
    assert opened.half_open_at == 110
    assert opened.state(110).probe_is_free


def test_the_first_claim_is_the_probe_and_all_others_are_refused() -> None:
    claimed = circuit((100, "opened", "a"), (110, "probe", "b"), (110.1, "probe", "c"))
    assert claimed.phase(111) is Phase.HALF_OPEN
    assert not claimed.state(111).probe_is_free
    assert not claimed.state(111).refuses("b")
    assert claimed.state(111).refuses("c")


def test_a_claim_before_the_cool_down_is_over_does_not_count() -> None:
    assert circuit((100, "opened", "a"), (109, "probe", "b")).phase(109.5) is Phase.OPEN


def test_a_probe_that_succeeds_closes_it() -> None:
    closed = circuit((100, "opened", "a"), (110, "probe", "b"), (111, "closed", "b"))
    assert closed == Circuit(POLICY)


def test_each_probe_that_fails_doubles_the_cool_down_up_to_the_cap() -> None:
    now, history, waits = 100.0, history_of((100, "opened", "a")), []
    for number in range(6):
        until = Circuit(POLICY).after(history).half_open_at
        assert until is not None
        waits.append(until - now)
        now = until + 1
        by = f"probe {number}"
        history += [
            CircuitEvent(0, until, CircuitEventKind.PROBE, by),
            CircuitEvent(0, now, CircuitEventKind.OPENED, by, cause=DOWN),
        ]
    assert waits == [10, 20, 40, 60, 60, 60]


def halted_until(moment: float) -> SyncHalted:
    return replace(DOWN, retry_at=moment, retry_header="Retry-After")


def test_a_time_that_the_api_names_is_later_than_the_cap_and_is_not_doubled() -> None:
    history = [CircuitEvent(0, 100, CircuitEventKind.OPENED, "a", cause=halted_until(86_500))]
    assert Circuit(POLICY).after(history).half_open_at == 86_500
    for number in range(1, 5):
        at = 86_400.0 * number + 100
        assert Circuit(POLICY).after(history).phase(at - 1) is Phase.OPEN
        probe = CircuitEvent(0, at, CircuitEventKind.PROBE, f"probe {number}")
        history += [
            probe,
            replace(probe, kind=CircuitEventKind.OPENED, cause=halted_until(at + 86_400)),
        ]
        assert Circuit(POLICY).after(history).half_open_at == at + 86_400
    history += [
        replace(probe, at=at + 86_400, by="last"),
        CircuitEvent(0, at + 86_401, CircuitEventKind.OPENED, "last", cause=DOWN),
    ]
    assert Circuit(POLICY).after(history).half_open_at == at + 86_401 + 60, (
        "without a named time, the cap counts"
    )


def test_the_cool_down_is_longer_than_a_time_that_the_api_names_before_its_end() -> None:
    opened = Circuit(POLICY).after(
        [CircuitEvent(0, 100, CircuitEventKind.OPENED, "a", cause=halted_until(105))]
    )
    assert opened.half_open_at == 110
    assert opened.half_open_in_words == "1970-01-01 00:01:50 UTC"


AHEAD = 30 * 86_400.0


@pytest.mark.parametrize(
    ("events", "note", "half_open_at"),
    [
        ([(AHEAD, "opened", "a")], (100, "note", "b"), 110),
        ([(AHEAD, "opened", "a")], (100, "note", ""), AHEAD + 10),  # a person's note changes nothing
        ([(3700, "opened", "a")], (100, "note", "b"), 3710),  # two machines may be minutes apart
        ([(AHEAD, "opened", "a"), (100, "note", "b")], (101, "note", "c"), 110),  # of two readers
        ([(100, "opened", "a"), (AHEAD, "probe", "b")], (200, "note", "c"), 110),
        ([(100, "opened", "a"), (AHEAD, "probe", "b"), (AHEAD + 1, "opened", "b")], (200, "note", "c"), 220),
    ],
)
def test_a_note_of_a_clock_that_was_ahead_starts_the_cool_down(
    events: list[tuple[float, str, str]], note: tuple[float, str, str], half_open_at: float
) -> None:
    assert circuit(*events, note).half_open_at == half_open_at


def test_a_claim_of_a_clock_that_was_ahead_expires() -> None:
    claimed = ((100.0, "opened", "a"), (AHEAD, "probe", "b"))
    assert circuit(*claimed).state(200).refuses("c")
    noted = circuit(*claimed, (200, "note", "c"))
    assert noted.state(204).refuses("c")
    assert noted.state(205).probe_is_free


def test_a_time_that_the_api_names_to_a_clock_that_was_ahead_keeps_its_length() -> None:
    events = [CircuitEvent(0, AHEAD, CircuitEventKind.OPENED, "a", cause=halted_until(AHEAD + 7 * 86_400))]
    events += [CircuitEvent(1, 100, CircuitEventKind.NOTE, "b")]
    assert Circuit(POLICY).after(events).half_open_at == 100 + 7 * 86_400


def test_the_description_says_that_the_api_named_the_time() -> None:
    opened = Circuit(POLICY).after(
        [CircuitEvent(0, 0, CircuitEventKind.OPENED, "a", cause=halted_until(86_400))]
    )
    assert opened.describe("an_api", "the job x", 1).endswith(
        "; it may be asked again after 1970-01-02 00:00:00 UTC (the API says so in `Retry-After`), or once the job x "
        "has run"
    )


def test_requests_of_others_that_fail_meanwhile_change_nothing() -> None:
    one = circuit((100, "opened", "a"))
    assert one.after(history_of((103, "opened", "b"))) == one
    probing = circuit((100, "opened", "a"), (110, "probe", "b"))
    assert probing.after(history_of((111, "opened", "a"))) == probing


def test_a_probe_without_an_outcome_is_followed_by_another() -> None:
    dead = circuit((100, "opened", "a"), (110, "probe", "b"))
    assert not dead.state(114.9).probe_is_free
    assert dead.state(115).probe_is_free
    again = dead.after(history_of((115, "probe", "c")))
    assert not again.state(116).refuses("c")
    assert again.state(116).refuses("b")
    assert again.failures == 1, "a run that died is no failure of the API"


def test_a_person_opens_it_until_a_reset() -> None:
    forced = circuit((100, "held", ""), (200, "probe", "a"), (201, "closed", "a"), (202, "opened", "a"))
    assert forced.phase(1e9) is Phase.FORCED_OPEN
    assert forced.state(1e9).refuses("a")
    assert forced.after(history_of((300, "reset", ""))) == Circuit(POLICY)


@pytest.mark.parametrize(
    ("events", "now", "said"),
    [
        ([(0, "opened", "a")], 1, "the circuit of an_api is open since 1970-01-01 00:00:00 UTC: halted after 4 "
         "attempts of GET /orders: 503 Service Unavailable; it may be asked again after 1970-01-01 00:00:10 UTC, or "
         "once the job an_api__circuit_reset has run"),
        ([(0, "opened", "a")], 20, "the next run probes the API"),
        ([(0, "opened", "a"), (10, "probe", "b")], 11, "run 12345678 probes the API, and another run may after "
         "1970-01-01 00:00:15 UTC"),
        ([(0, "opened", "a"), (10, "probe", "b"), (11, "opened", "b")], 12, "since 1970-01-01 00:00:00 UTC: halted "
         "after 4 attempts of GET /orders: 503 Service Unavailable; a probe at 1970-01-01 00:00:11 UTC failed with "
         "503 Service Unavailable; it may be asked again after 1970-01-01 00:00:31 UTC"),
        ([(0, "held", "")], 20, "open by hand since 1970-01-01 00:00:00 UTC; the job an_api__circuit_reset closes it"),
        ([], 20, "the circuit of an_api is closed"),
    ],
)  # fmt: skip
def test_the_description_says_why_and_until_when(
    events: list[tuple[float, str, str]], now: float, said: str
) -> None:
    assert said in circuit(*events).describe("an_api", "the job an_api__circuit_reset", now)


# Random histories of a few processes, with events in any order.
PROCESSES = ("a", "b", "c")
HISTORIES = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(list(CircuitEventKind)),
        st.sampled_from(PROCESSES),
    ),
    max_size=25,
)


def history(steps: list[tuple[int, CircuitEventKind, str]]) -> list[CircuitEvent]:
    now, events = 0.0, []
    for number, (passed, kind, by) in enumerate(steps):
        now += passed
        events.append(
            CircuitEvent(number, now, kind, by, cause=DOWN if kind is CircuitEventKind.OPENED else None)
        )
    return events


@given(HISTORIES, st.integers(0, 200))
def test_no_two_may_probe_and_none_may_ask_during_the_cool_down(
    steps: list[tuple[int, CircuitEventKind, str]], later: int
) -> None:
    events = history(steps)
    now = (events[-1].at if events else 0) + later
    state = Circuit(POLICY).after(events)
    phase, free = state.phase(now), state.state(now).probe_is_free
    allowed = [by for by in PROCESSES if not state.state(now).refuses(by)]
    if phase is Phase.CLOSED or free:
        assert allowed == list(PROCESSES)
    elif phase is Phase.HALF_OPEN:
        assert len(allowed) == 1
    else:
        assert allowed == []
    if phase in (Phase.OPEN, Phase.HALF_OPEN):
        assert state.latest is not None
        assert state.half_open_at is not None
        assert 1 <= state.failures <= len(events)
        assert 10 <= state.half_open_at - state.latest.at <= 60


@given(HISTORIES)
def test_exactly_one_of_any_number_of_claims_may_probe(
    steps: list[tuple[int, CircuitEventKind, str]],
) -> None:
    events = history(steps)
    now = (events[-1].at if events else 0) + 1000
    state = Circuit(POLICY).after(events)
    if not state.state(now).probe_is_free:
        return
    claimed = state.after(
        [CircuitEvent(1000 + n, now, CircuitEventKind.PROBE, f"claim {n}") for n in range(16)]
    )
    assert [n for n in range(16) if not claimed.state(now).refuses(f"claim {n}")] == [0]


@given(HISTORIES, HISTORIES)
def test_a_reset_clears_the_history_and_the_circuit_never_stays_open_by_itself(
    before: list[tuple[int, CircuitEventKind, str]], after: list[tuple[int, CircuitEventKind, str]]
) -> None:
    past = history(before)
    start = past[-1].at if past else 0.0
    reset = CircuitEvent(len(past), start, CircuitEventKind.RESET)
    assert Circuit(POLICY).after([*past, reset]) == Circuit(POLICY)
    future = [replace(event, at=event.at + start) for event in history(after)]
    state = Circuit(POLICY).after([*past, reset, *future])
    assert state == Circuit(POLICY).after(future)
    # Unless a person opened the circuit, a request is allowed again after a long enough wait.
    later = state.state(start + 1e6)
    assert later.phase in (Phase.CLOSED, Phase.FORCED_OPEN) or later.probe_is_free


@given(HISTORIES, st.integers(0, 25))
def test_reading_in_two_parts_is_reading_at_once(
    steps: list[tuple[int, CircuitEventKind, str]], cut: int
) -> None:
    events = history(steps)
    assert Circuit(POLICY).after(events[:cut]).after(events[cut:]) == Circuit(POLICY).after(events)
