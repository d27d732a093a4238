"""Tests the Dagster UI in a real browser: the lineage, a partition that a person materializes, and its check.

`make e2e` runs these tests: they need Chromium. Screenshots go to the folder that SCREENSHOTS names, if it is set.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from analytics_assets_tests.conftest import DemoApi
from analytics_assets_tests.processes import Home, Ui, dagster_dev

QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1600,1000",
)  # fmt: skip


class Browser:
    """Chromium, controlled through the visible texts."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self.screenshots = os.environ.get("SCREENSHOTS")

    def open(self, url: str) -> None:
        self.driver.get(url)

    def see(self, text: str, seconds: float = 60) -> None:
        """Waits until `text` is on the page."""
        try:
            WebDriverWait(self.driver, seconds).until(
                lambda driver: text in driver.find_element(By.TAG_NAME, "body").text,
                f"`{text}` is not on the page",
            )
        except TimeoutException:
            self.screenshot("not-on-the-page")
            raise

    def click(self, label: str) -> None:
        """Clicks the last button with `label`, because a dialog's button comes after the buttons of the page."""
        buttons = WebDriverWait(self.driver, 30).until(
            lambda driver: [
                one
                for one in driver.find_elements(By.XPATH, f"//button[contains(., '{label}')]")
                if one.is_displayed() and one.is_enabled()
            ]
        )
        buttons[-1].click()

    def screenshot(self, name: str) -> None:
        if self.screenshots:
            time.sleep(1.5)  # animations must end before the screenshot
            Path(self.screenshots).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(f"{self.screenshots}/{name}.png")


@pytest.fixture
def browser() -> Iterator[Browser]:
    options = Options()
    for option in QUIET:
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    yield Browser(driver)
    driver.quit()


def test_a_person_materializes_a_partition_and_sees_its_check_turn_green(
    home: Home, api: DemoApi, browser: Browser
) -> None:
    with dagster_dev(home) as ui:
        browser.open(f"{ui.url}/asset-groups")
        for name in ("customers", "products", "transactions", "events"):
            browser.see(name)
        browser.see("Never materialized")
        browser.screenshot("1-lineage")

        browser.open(f"{ui.url}/assets/analytics_api/transactions")
        for text in (
            "One row per sale.",
            "transaction_amount",
            "decimal(18, 2)",
            "non-nullable",
            "At 02:00 AM UTC",
        ):
            browser.see(text)
        browser.screenshot("2-schema-before-the-first-run")

        browser.click("Materialize")
        browser.see("Launch backfill")
        field = browser.driver.find_element(By.CSS_SELECTOR, "input[placeholder^='ex: 2026']")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys("2026-01-05", Keys.TAB)
        browser.see("Launch 1 run")
        browser.screenshot("3-one-partition")
        browser.click("Launch 1 run")
        browser.see("Launched run")

        browser.open(f"{ui.url}/assets/analytics_api/transactions?view=checks&checkDetail=schema_nullability")
        rows = len(api.rows("transactions", "2026-01-05", "2026-01-06"))
        browser.see(f"No NULL where none is allowed, in {rows} rows; none in quarantine.")
        browser.see("Passed")
        browser.screenshot("4-check-passed")

        browser.click("Execute")
        browser.see("Succeeded")
        browser.open(f"{ui.url}/assets/analytics_api/transactions?view=partitions&partition=2026-01-05")
        browser.see("partition_row_count")
        browser.screenshot("5-partition")

        product = api.rows("products")[3]["id"]
        api.set_faults({"path": "/v1/products", "row": 3, "set_fields": {"unit_price": "cheap"}})
        key = {"path": ["analytics_api", "products"]}
        run_id = ui.launch(
            [key], [{"assetKey": key, "name": name} for name in ("schema_nullability", "complete")]
        )
        assert ui.wait_for("end of the run", lambda: ui.run_status(run_id)) == "SUCCESS"
        browser.open(f"{ui.url}/assets/analytics_api/products?view=checks&checkDetail=schema_nullability")
        browser.see(f"unit_price is text, not a valid decimal(18, 2) in 1 row (primary key {product})")
        browser.screenshot("6-checks-one-failed")
        browser.open(f"{ui.url}/assets/analytics_api/products?view=checks&checkDetail=complete")
        browser.see("All 40 rows that the API has were fetched; 39 loaded, 1 in quarantine.")


HISTORY = """{ assetOrError(assetKey: {path: ["analytics_api", "circuit"]}) {
  ... on Asset { assetMaterializations(limit: 10) { description } } } }"""


def history(ui: Ui) -> list[str]:
    """The descriptions of the circuit events, newest first."""
    return [one["description"] for one in ui.ask(HISTORY)["assetOrError"].get("assetMaterializations", [])]


def test_a_person_opens_the_circuit_sees_a_run_refused_and_resets_it(
    home: Home, api: DemoApi, browser: Browser
) -> None:
    with dagster_dev(home) as ui:
        circuit = f"{ui.url}/assets/analytics_api/circuit"
        browser.open(circuit)
        browser.see("Each event is a materialization.")
        menu = "//button[contains(., 'Materialize')]/following::button[1]"
        browser.driver.find_element(By.XPATH, menu).click()
        browser.see("Report materialization event")
        item = "//*[@role='menuitem'][contains(., 'Report materialization event')]"
        browser.driver.find_element(By.XPATH, item).click()
        browser.see("Report event")
        field = browser.driver.find_element(By.CSS_SELECTOR, "input[placeholder='Add a description']")
        field.send_keys("open: their maintenance window")
        browser.screenshot("7-opened-by-hand")
        browser.click("Report event")
        ui.wait_for("event", lambda: history(ui) == ["open: their maintenance window"])

        run_id = ui.launch([{"path": ["analytics_api", "products"]}], [])
        assert ui.wait_for("end of the run", lambda: ui.run_status(run_id)) == "FAILURE"
        assert api.request_counts() == {}
        browser.open(f"{ui.url}/runs/{run_id}")
        browser.see("held open by hand since")
        browser.see("(their maintenance window)")
        browser.screenshot("8-refused")

        browser.open(f"{ui.url}/locations/{home.module}/jobs/analytics_api__circuit_reset/playground")
        browser.see("analytics_api__circuit_reset_by_hand")
        browser.screenshot("9-reset")
        browser.click("Launch Run")
        ui.wait_for("event", lambda: history(ui)[0] == "Closed by hand.")
        browser.open(f"{circuit}?view=events")
        browser.see("Closed by hand")
        browser.screenshot("10-history")
        run_id = ui.launch([{"path": ["analytics_api", "products"]}], [])
        assert ui.wait_for("end of the run", lambda: ui.run_status(run_id)) == "SUCCESS"
