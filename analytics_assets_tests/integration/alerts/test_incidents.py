"""Which failures are one incident, of which asset, and when an incident is reported again."""

from __future__ import annotations

import dagster as dg
import pytest
import yaml

from analytics_assets.config.models import SyncConfig
from analytics_assets_tests.alerting import Sensor, Webhook
from analytics_assets_tests.conftest import Clock, Project
from analytics_assets_tests.scripted import DAILY, PRODUCTS, TRANSACTIONS, reported, run

FAILED = "analytics_api: the sync of {} failed"
AGAIN = "analytics_api: {} is synced again"


def failure(reason: str = "not JSON") -> dg.Failure:
    metadata = {"analytics_assets/source": "analytics_api", "reason": reason}
    return dg.Failure("it failed", metadata=metadata, allow_retries=False)


def test_an_asset_without_partitions_fails_in_a_run_with_a_partition(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    """As in a user's own job, which selects our asset beside a partitioned asset of theirs."""

    @dg.asset(partitions_def=DAILY)
    def theirs() -> None: ...

    for _ in range(2):
        run(project, "2026-01-05", loads=False, error=failure(), beside=[theirs])
        sensor.look()
    assert webhook.titles == [FAILED.format("products")]
    run(project)
    sensor.look()
    assert webhook.titles[1:] == [AGAIN.format("products")]


@pytest.mark.matrix(keep=1)
@pytest.mark.parametrize("path", [("analytics_api", "x", "products"), ("theirs", "products")])
def test_an_asset_with_a_similar_key_is_not_ours(
    project: Project, sensor: Sensor, webhook: Webhook, path: tuple[str, ...]
) -> None:
    """An asset of the user hides no failure of ours, is not reported as ours, and does not end an incident of ours."""

    @dg.asset(key=dg.AssetKey(path))
    def theirs() -> None: ...

    @dg.asset(key=dg.AssetKey(path))
    def broken() -> None:
        raise ValueError

    run(project, beside=[broken])
    sensor.look()
    assert webhook.got == []
    run(project, loads=False, error=failure(), beside=[theirs])
    sensor.look()
    assert webhook.titles == [FAILED.format("products")]
    reported(project, *path)
    reported(project, "analytics_api", "products__items")
    sensor.look()
    assert len(webhook.got) == 1


def test_an_abandoned_partition_does_not_mute_a_later_failure(
    project: Project, text: str, sensor: Sensor, webhook: Webhook, clock: Clock
) -> None:
    """Each step: minutes to wait, the partition, whether it is loaded, and what the tick reports."""
    failed, loaded = False, True
    steps: list[tuple[float, str, bool, list[str]]] = [
        (0, "2026-01-05", failed, [FAILED]),
        (10, "2026-01-06", failed, []),  # the same incident
        (10, "2026-01-07", loaded, []),
        (10, "2026-01-08", failed, []),  # a load, but the last alert is less than an hour old
        (10, "2026-01-08", loaded, []),
        (30, "2026-01-09", failed, [FAILED]),
        (120, "2026-01-10", failed, []),  # no load since the last failure
        (20 * 60, "2026-01-11", failed, []),
        (60, "2026-01-12", failed, [FAILED]),  # 23 hours after the last alert
        (1, "2026-01-06", loaded, []),
        (1, "2026-01-09", loaded, []),
        (1, "2026-01-10", loaded, []),
        (1, "2026-01-11", loaded, []),
        (1, "2026-01-12", loaded, []),
        (1, "2026-01-05", loaded, [AGAIN]),
        (1, "2026-01-05", failed, [FAILED]),
    ]
    job = project.definitions(text).resolve_job_def("analytics_api__transactions__sync")
    for number, (minutes, day, is_loaded, expected) in enumerate(steps):
        clock.pass_minutes(minutes)
        if is_loaded:
            reported(project, *TRANSACTIONS.path, partition=day)
        else:
            tags = {"dagster/partition": day}
            project.instance.report_run_failed(project.instance.create_run_for_job(job, tags=tags))
        sensor.look()
        assert webhook.titles == [title.format("transactions") for title in expected], f"step {number}"
        webhook.got.clear()


def test_reasons_that_differ_in_numbers_are_one_incident(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    for rows in (3, 1204):
        run(project, loads=False, error=failure(f"{rows} of 40 rows break the contract"))
    run(project, loads=False, error=failure("the response is not JSON"))
    sensor.look()
    assert webhook.titles == 2 * [FAILED.format("products")]


def test_a_step_that_fails_after_its_load_is_reported(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    run(project, error=ValueError("a row"))
    sensor.look()
    [received] = webhook.got
    assert "reason: ValueError; the log of the run has its text" in received["message"]
    sensor.look()
    assert len(webhook.got) == 1
    run(project)
    sensor.look()
    assert webhook.titles[1:] == [AGAIN.format("products")]


def test_a_run_that_a_person_cancels_is_no_incident(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    definitions = dg.Definitions(
        [dg.AssetsDefinition.from_op(_nothing, keys_by_output_name={"result": PRODUCTS})]
    )
    made = project.instance.create_run_for_job(definitions.resolve_implicit_global_asset_job_def())
    project.instance.report_run_canceled(made)
    sensor.look()
    assert webhook.got == []


def test_a_dry_run_by_a_tag_of_the_run_is_no_incident(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    run(project, loads=False, error=failure(), tags={"analytics_assets/dry_run": "true"})
    sensor.look()
    assert webhook.got == []


def test_an_incident_of_a_partition_ends_after_the_partitions_are_gone_from_the_file(
    project: Project, text: str, sensor: Sensor, webhook: Webhook
) -> None:
    run(project, "2026-01-05", key=TRANSACTIONS, loads=False, error=failure())
    sensor.look()
    document = yaml.safe_load(text)
    del document["attributes"]["assets"]["transactions"]
    sensor.config = SyncConfig(**document["attributes"])
    sensor.look()
    assert len(webhook.got) == 1
    reported(project, *TRANSACTIONS.path)
    sensor.look()
    assert webhook.titles[1:] == [AGAIN.format("transactions")]


@dg.op(name="analytics_api__products")
def _nothing() -> None: ...


def test_a_retry_that_never_comes_is_waited_for_an_hour(
    project: Project, sensor: Sensor, webhook: Webhook, clock: Clock
) -> None:
    run_id = run(project, loads=False, error=failure()).run_id
    project.instance.add_run_tags(run_id, {"dagster/will_retry": "true"})
    sensor.look()
    clock.pass_minutes(59)
    sensor.look()
    assert webhook.got == []
    clock.pass_minutes(2)
    sensor.look()
    assert webhook.titles == [FAILED.format("products")]


def test_a_clock_that_was_ahead_mutes_nothing(
    project: Project, sensor: Sensor, webhook: Webhook, clock: Clock
) -> None:
    clock.pass_minutes(30 * 24 * 60)
    run(project, loads=False, error=failure())
    clock.pass_minutes(-30 * 24 * 60)
    for reports in (1, 2):
        sensor.look()
        assert webhook.titles == reports * [FAILED.format("products")]
        clock.pass_minutes(24 * 60)
        run(project, loads=False, error=failure())


def test_a_failure_with_an_own_job_name_and_in_a_whole_job_is_found(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    @dg.asset(key=PRODUCTS)
    def analytics_api__products() -> None:
        raise failure()

    nightly = dg.define_asset_job("nightly", [analytics_api__products])
    job = dg.Definitions([analytics_api__products], jobs=[nightly]).resolve_job_def("nightly")
    job.execute_in_process(instance=project.instance, raise_on_error=False)
    sensor.look()
    assert webhook.titles == [FAILED.format("products")]


def test_a_switched_off_kind_is_not_reported(project: Project, text: str, webhook: Webhook) -> None:
    text = text.replace("alerts:\n", "alerts:\n    failed_sync: false\n")
    silent = Sensor(project, text)
    silent.look()
    run(project, loads=False, error=failure())
    silent.look()
    assert webhook.got == []


def test_an_asset_that_the_file_has_no_more_is_forgotten(
    project: Project, sensor: Sensor, webhook: Webhook
) -> None:
    run(project, loads=False, error=failure())
    sensor.look()
    sensor.assets = {asset: name for asset, name in sensor.assets.items() if name != "products"}
    sensor.look()
    assert len(webhook.got) == 1
    assert sensor.memory.state.incidents == ()
