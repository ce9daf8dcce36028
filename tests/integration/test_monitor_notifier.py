"""From alert to people: told once, tried again when the channel fails, and never twice by two monitors."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from services.domain.alert import AlertState
from services.monitor.channel import SlackWebhook
from services.monitor.notifier import SINGLE_MAX, TRIES_MAX
from services.projections.deliveries import take_deliveries
from tests.fix_monitor import monitor_template, postgres_cluster, watch

if TYPE_CHECKING:
    from uuid import UUID

    import pytest

    from services.projections.alerts import AlertRow
    from tests.fix_monitor import Watch

__all__ = ["monitor_template", "postgres_cluster", "watch"]


async def types(watch: Watch, alert_id: UUID) -> list[str]:
    return [each.event_type for each in await watch.ledger.history(alert_id)]


async def one_alert(watch: Watch) -> AlertRow:
    await watch.dead_letter()
    [alert] = await watch.raised(watch.judge())
    return alert


async def test_an_alert_is_told_once_with_rule_subject_and_name(watch: Watch) -> None:
    alert, notifier = await one_alert(watch), watch.notifier()

    [text] = await watch.told(notifier, 1)
    for _ in range(3):
        await notifier.run_once()

    assert watch.webhook.texts == [text]
    assert text.startswith(f"[CRITICAL] dead_letter: {alert.subject}: ")
    assert f"alerts/{alert.alert_id}" in text
    [after] = await watch.alerts()
    assert after.notified_channels == ["slack"]
    assert await types(watch, alert.alert_id) == ["AlertRaised", "AlertNotified"]


async def test_a_webhook_that_fails_twice_is_tried_again_and_told_once(watch: Watch) -> None:
    watch.webhook.answers.extend([500, 503])
    alert = await one_alert(watch)

    texts = await watch.told(watch.notifier(), 3)

    assert len(set(texts)) == 1
    folded = await watch.alert(alert.alert_id)
    assert (folded.notified_channels, folded.failed_channels) == (("slack",), ())
    assert await types(watch, alert.alert_id) == ["AlertRaised", "AlertNotified"]


async def test_the_number_of_tries_survives_a_restart_of_the_monitor(watch: Watch) -> None:
    watch.webhook.answers.extend([500])
    alert = await one_alert(watch)
    await watch.told(watch.notifier(), 1)

    await watch.told(watch.notifier(), 2)

    notified = (await watch.ledger.history(alert.alert_id))[-1]
    assert notified.event_type == "AlertNotified"
    assert notified.payload.endswith(b"\x18\x02"), "tries = 2"


async def test_a_channel_that_never_takes_an_alert_is_given_up_and_that_is_recorded(watch: Watch) -> None:
    watch.webhook.answers.extend([400] * TRIES_MAX)
    alert = await one_alert(watch)
    notifier = watch.notifier()

    async with asyncio.timeout(30):
        while "AlertNotificationFailed" not in await types(watch, alert.alert_id):
            await notifier.run_once()
            await watch.forget_waits()
    await watch.caught_up()
    await notifier.run_once()

    assert len(watch.webhook.texts) == TRIES_MAX
    [after] = await watch.alerts()
    assert (after.state, after.failed_channels) == (AlertState.RAISED, ["slack"])


async def test_a_channel_that_cannot_be_reached_costs_a_try_and_not_the_alert(watch: Watch) -> None:
    alert = await one_alert(watch)
    async with SlackWebhook.open("http://127.0.0.1:1/nobody") as nobody:
        await watch.notifier_of(nobody).run_once()
    assert await types(watch, alert.alert_id) == ["AlertRaised"]

    await watch.told(watch.notifier(), 1)

    assert await types(watch, alert.alert_id) == ["AlertRaised", "AlertNotified"]


async def test_two_monitors_tell_an_alert_once(watch: Watch) -> None:
    await one_alert(watch)
    first, second = watch.notifier(), watch.notifier()

    for _ in range(3):
        await asyncio.gather(first.run_once(), second.run_once())

    assert len(watch.webhook.texts) == 1


async def test_an_alert_is_told_again_when_the_monitor_that_took_it_died(watch: Watch) -> None:
    await one_alert(watch)
    async with watch.reads.of_all() as connection:
        assert len(await take_deliveries(connection, "slack")) == 1
    await watch.notifier().run_once()
    assert watch.webhook.texts == []

    await watch.forget_waits()

    await watch.told(watch.notifier(), 1)


async def test_many_alerts_of_one_rule_are_one_message(watch: Watch) -> None:
    count = SINGLE_MAX + 4
    for _ in range(count):
        await watch.dead_letter()
    alerts = await watch.raised(watch.judge(), count=count)

    [text] = await watch.told(watch.notifier(), 1)

    assert f"{count} alerts" in text
    for alert in alerts:
        assert await types(watch, alert.alert_id) == ["AlertRaised", "AlertNotified"]


async def test_a_resolved_alert_is_not_told(watch: Watch) -> None:
    alert = await one_alert(watch)
    await watch.judge_desk().resolve(alert.alert_id, "person")
    await watch.caught_up()

    await watch.notifier().run_once()

    assert watch.webhook.texts == []


async def test_the_address_of_the_webhook_is_a_secret_and_in_no_log(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    watch.webhook.answers.extend([500])
    await one_alert(watch)

    with caplog.at_level(logging.DEBUG):
        logging.getLogger("httpx").setLevel(logging.WARNING)
        await watch.told(watch.notifier(), 2)

    assert "hush" not in caplog.text
