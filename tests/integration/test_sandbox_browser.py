"""The stand-in directories work in a real browser."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import async_playwright, expect

from sandbox.form import Kind
from sandbox.sample_profile import bakery
from sandbox.sites import SITES
from tests.doubles.careful_visitor import FILLED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Page

    from sandbox.client import SandboxClient

pytest_plugins = ["tests.fix_sandbox"]

NAME, PHONE = bakery().business_name, bakery().phone
#: Sites whose form page can be opened at once.
READY = [site for site in SITES if site.look.slug not in {"flaky", "scripted"}]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A fresh page of a real Chromium."""
    async with async_playwright() as playwright:
        # Chromium refuses its own sandbox to root.
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium-headless-shell"), chromium_sandbox=os.geteuid() != 0
        )
        yield await browser.new_page()
        await browser.close()


async def test_plain_is_filled_in_and_listed(sandbox: SandboxClient, page: Page):
    await page.goto(f"{sandbox.origin}/plain/add")
    values = {name: str(value) for name, value in FILLED["plain"].items()}
    await page.locator("#category").select_option(values.pop("category"))
    await page.locator("#terms").check()
    del values["terms"]
    for name, value in values.items():
        await page.locator(f"#{name}").fill(value)
    await page.get_by_role("button", name="Add business").click()

    await expect(page.get_by_role("heading", name="Your listing is live!")).to_be_visible()
    await page.get_by_role("link", name="View your listing").click()
    await expect(page.get_by_role("heading", name=NAME)).to_be_visible()
    assert await sandbox.count("plain", name=NAME, phone=PHONE) == 1


async def test_scripted_complains_beside_the_fields_then_answers_without_a_page_load(
    sandbox: SandboxClient, page: Page
):
    await page.goto(f"{sandbox.origin}/scripted/add")
    values = {name: str(value) for name, value in FILLED["scripted"].items()}
    send = page.get_by_role("button", name="Send for review")
    await page.locator("[data-member=category]").select_option(values.pop("category"))
    await page.locator("[data-member=terms]").check()
    del values["terms"]
    for member, value in values.items():
        await page.locator(f"[data-member={member}]").fill(value)
    await page.locator("[data-member=phone]").fill(PHONE)
    await send.click()

    complaint = page.get_by_text("Please use the format 555-123-4567.")
    await expect(complaint).to_be_visible()
    assert (await sandbox.events("scripted"))["post_received"] == 0
    await page.locator("[data-member=phone]").fill(values["phone"])
    await page.evaluate("window.unloaded = false")
    await send.click()

    await expect(page.get_by_role("heading", name="Waiting for review")).to_be_visible()
    assert await page.evaluate("window.unloaded") is False
    assert await sandbox.count("scripted", name=NAME, phone=PHONE) == 1


async def test_scripted_admits_that_the_server_is_in_trouble(sandbox: SandboxClient, page: Page):
    await sandbox.fault("scripted", "status", place="post", status=500)
    await page.goto(f"{sandbox.origin}/scripted/add")
    values = {name: str(value) for name, value in FILLED["scripted"].items()}
    await page.locator("[data-member=category]").select_option(values.pop("category"))
    await page.locator("[data-member=terms]").check()
    del values["terms"]
    for member, value in values.items():
        await page.locator(f"[data-member={member}]").fill(value)
    await page.get_by_role("button", name="Send for review").click()

    await expect(page.get_by_text("Something went wrong.")).to_be_visible()
    assert await sandbox.counts("scripted") == {}


async def test_the_captcha_keeps_the_form_from_being_sent(sandbox: SandboxClient, page: Page):
    await page.goto(f"{sandbox.origin}/captcha/add")
    values = {name: str(value) for name, value in FILLED["captcha"].items()}
    await page.locator("#trade").select_option(values.pop("trade"))
    await page.locator("#terms").check()
    del values["terms"]
    for name, value in values.items():
        await page.locator(f"#{name}").fill(value)
    await page.get_by_role("button", name="Submit listing").click()

    await expect(page.get_by_text("Please confirm that you are not a robot.")).to_be_visible()
    assert (await sandbox.events("captcha"))["post_received"] == 0


async def test_traps_are_out_of_sight_and_newsletters_are_off(sandbox: SandboxClient, page: Page):
    for site in READY:
        await page.goto(f"{sandbox.origin}/{site.look.slug}/add")
        for field in site.form.fields:
            located = page.locator(f'[name="{field.name}"]')
            if field.kind is Kind.TRAP:
                box = await located.bounding_box()
                assert box is None or box["x"] + box["width"] < 0
            elif field.kind is Kind.NEWSLETTER and await located.count():
                await expect(located).not_to_be_checked()
                await expect(located).to_be_visible()


async def test_the_cookie_banner_goes_and_stays_away(sandbox: SandboxClient, page: Page):
    await page.goto(f"{sandbox.origin}/long/add")
    banner = page.get_by_role("dialog", name="Cookies")
    await expect(banner).to_be_visible()
    await page.get_by_role("button", name="Only necessary").click()

    await expect(banner).to_be_hidden()
    await page.reload()
    await expect(page.get_by_role("heading", name="Register a company")).to_be_visible()
    await expect(banner).to_be_hidden()
