"""The moving window never lets more through than the limit, in any sixty seconds."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.interceptors.rate_limit import (
    SUBJECTS_MAX,
    WINDOW_SECONDS,
    MovingWindow,
    address_of,
)
from tests.doubles.manual_clock import ManualClock

STEPS = st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=60)


@given(STEPS, st.integers(1, 5))
def test_never_more_than_the_limit_in_any_window(steps: list[float], limit: int) -> None:
    async def run() -> list[float]:
        clock = ManualClock()
        window = MovingWindow(limit, clock)
        let_in: list[float] = []
        for step in steps:
            await clock.advance(step)
            if window.hit("a") == 0:
                let_in.append(clock.monotonic())
        return let_in

    let_in = asyncio.run(run())
    for first, last in zip(let_in, let_in[limit:], strict=False):
        assert last - first >= WINDOW_SECONDS - 1e-6


@given(STEPS, st.integers(1, 5))
def test_whoever_waits_as_long_as_told_is_let_in(steps: list[float], limit: int) -> None:
    async def run() -> None:
        clock = ManualClock()
        window = MovingWindow(limit, clock)
        for step in steps:
            await clock.advance(step)
            wait_seconds = window.hit("a")
            if wait_seconds > 0:
                await clock.advance(wait_seconds + 1e-6)
                assert window.hit("a") == 0

    asyncio.run(run())


async def test_a_refused_call_does_not_lengthen_the_wait() -> None:
    clock = ManualClock()
    window = MovingWindow(1, clock)
    window.hit("a")
    await clock.advance(30)
    assert [window.hit("a"), window.hit("a")] == [30, 30]


async def test_subjects_do_not_share_their_windows() -> None:
    window = MovingWindow(1, ManualClock())
    assert [window.hit("a"), window.hit("b")] == [0, 0]


async def test_addresses_are_forgotten() -> None:
    clock = ManualClock()
    window = MovingWindow(1, clock)
    for number in range(1_000):
        window.hit(str(number))
    await clock.advance(WINDOW_SECONDS)
    window.hit("last")
    assert window.subjects == 1


async def test_a_flood_of_addresses_does_not_fill_the_memory() -> None:
    window = MovingWindow(1, ManualClock())
    for number in range(SUBJECTS_MAX + 500):
        window.hit(str(number))
    assert window.subjects == SUBJECTS_MAX


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.7:51234", "192.0.2.7"),
        ("ipv6:%5B2001:db8:1:2:aaaa:bbbb:cccc:dddd%5D:51234", "2001:db8:1:2::/64"),
        ("ipv6:[2001:db8:1:2::1]:51234", "2001:db8:1:2::/64"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1", "fe80::/64"),
        ("ipv6:%5B::ffff:192.0.2.7%5D:51234", "192.0.2.7"),
        ("unix:/run/x.sock", "unix"),
        ("ipv4:rubbish", "unknown"),
        ("", ""),
    ],
)
def test_a_client_is_its_address_and_in_ipv6_its_household(peer: str, address: str) -> None:
    assert address_of(peer) == address
