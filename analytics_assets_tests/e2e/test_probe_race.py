"""Many processes share one circuit in Dagster's event log, and only one of them may probe."""

from __future__ import annotations

import multiprocessing
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier

import dagster as dg
import yaml

from analytics_assets.config.models import SyncConfig
from analytics_assets.ingestion.errors import CircuitOpenError, SyncHalted
from analytics_assets.ingestion.http.breaker_client import Breaker
from analytics_assets.ingestion.http.circuit_breaker import Circuit, CircuitEvent, CircuitEventKind, policy_of
from analytics_assets.ingestion.http.origins import Origins
from analytics_assets.ingestion.http.rate_limit import RateLimiter
from analytics_assets.ingestion.http.redaction import Secrets
from analytics_assets.ingestion.http.session import ApiSession
from analytics_assets.ingestion.http.telemetry import Telemetry
from analytics_assets.orchestration.circuit.event_log import EventLogCircuit
from analytics_assets_tests.conftest import SHIPPED_DEFS, DemoApi
from analytics_assets_tests.processes import Home

PROCESSES, ROUNDS = 16, 20
PATH = "/v1/products"
DOWN = SyncHalted("products", f"GET {PATH}", 503, 4, "503 Service Unavailable", outage=True)


@dataclass(frozen=True)
class Race:
    """The settings of every process."""

    home: str
    url: str

    @property
    def config(self) -> SyncConfig:
        attributes = yaml.safe_load(SHIPPED_DEFS.read_text())["attributes"]
        # The cool-down is a second in each round, so a late process still finds the circuit open.
        attributes["circuit_breaker"] = {"cooldown_minutes": 1 / 60, "max_cooldown_minutes": 1 / 60}
        return SyncConfig(**attributes)

    def store(self) -> EventLogCircuit:
        return EventLogCircuit(dg.DagsterInstance.from_config(self.home), self.config)


def run(race: Race, start: Barrier, done: Barrier) -> None:
    """Asks for permission once per round, as the first request of a sync does."""
    store = race.store()
    store.circuit()  # work that a process does once is not part of the race
    for number in range(ROUNDS):
        start.wait(120)
        breaker = Breaker(store, "products", f"round {number}")
        limiter, telemetry = RateLimiter(race.config.requests), Telemetry("products")
        session = ApiSession("products", Origins(race.url), limiter, breaker, Secrets(), telemetry)
        with session, suppress(SyncHalted, CircuitOpenError):
            session.get(f"{race.url}{PATH}")
        done.wait(120)


def test_sixteen_processes_race_for_one_probe(home: Home, api: DemoApi) -> None:
    """Twenty rounds, in which all processes ask at once. The server gets one request per valid claim."""
    api.set_faults({"path": PATH, "status": 503})
    race = Race(home.environment["DAGSTER_HOME"], api.url)
    store = race.store()
    store.append(CircuitEventKind.OPENED, by="the first", cause=DOWN)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # the common imports run once
    start, done = context.Barrier(PROCESSES + 1), context.Barrier(PROCESSES + 1)
    racers = [context.Process(target=run, args=(race, start, done), daemon=True) for _ in range(PROCESSES)]
    for racer in racers:
        racer.start()
    for _ in range(ROUNDS):
        give_up = time.monotonic() + 60
        while not store.circuit().state(time.time()).probe_is_free:
            assert time.monotonic() < give_up
            time.sleep(0.02)
        start.wait(120)
        done.wait(120)
    for racer in racers:
        racer.join(120)
    assert [racer.exitcode for racer in racers] == [0] * PROCESSES
    probes = probes_of(race, store)
    assert len(probes) >= ROUNDS
    assert api.request_counts() == {PATH: len(probes)}
    assert store.circuit().failures == len(probes) + 1


def probes_of(race: Race, store: EventLogCircuit) -> list[CircuitEvent]:
    """The valid claims in the history, which are the first claim after each cool-down.

    Usually there is one claim per round. On a busy machine, a process may be so late that the next cool-down is over.
    """
    circuit, probes = Circuit(policy_of(race.config)), []
    for event in store.events():
        before, circuit = circuit, circuit.after([event])
        if circuit.claim is not None and circuit.claim is not before.claim:
            assert before.half_open_at is not None
            assert event.at >= before.half_open_at
            probes.append(event)
    return probes
