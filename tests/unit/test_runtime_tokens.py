"""Tokens open only for whom, and for what, they were made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from directorybolt.intake.v1 import jobs_pb2
from hypothesis import given
from hypothesis import strategies as st

from eventstore.types import Position
from services.domain.errors import InvalidArgument
from services.runtime.tokens import PAGE_TOKEN_LIFE_SECONDS, TokenSealer
from tests.doubles.manual_clock import ManualClock

SECRET = b"0123456789abcdef0123456789abcdef"
QUERY = jobs_pb2.ListJobsRequest(parent="customers/a", page_size=10)


class _FixedClock(ManualClock):
    """A clock without a loop: tokens only read the time."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed_seconds = 0.0


def _sealer(clock: ManualClock | None = None, secret: bytes = SECRET) -> TokenSealer:
    return TokenSealer(secret, clock or _FixedClock())


def _field(refused: pytest.ExceptionInfo[InvalidArgument]) -> str:
    return refused.value.violations[0].field


@given(st.lists(st.tuples(st.integers(-1, 2**31 - 1), st.integers(0, 2**63 - 1)), max_size=16))
def test_a_position_comes_back_as_it_went(places: list[tuple[int, int]]) -> None:
    positions = tuple(Position(*each) for each in places)
    token = _sealer().position_token(*positions)
    assert _sealer().read_position(token, field="after_position") == positions


def test_an_empty_token_is_no_position_and_the_first_page() -> None:
    assert _sealer().read_position("", field="after_position") == ()
    assert _sealer().read_page("", query=QUERY, customer_id="a") == ()


@given(st.integers(0, 80), st.integers(1, 255))
def test_a_tampered_token_does_not_open(place: int, change: int) -> None:
    token = bytearray(_sealer().position_token(Position(0, 42)), "ascii")
    at = place % len(token)
    token[at] = (token[at] + change) % 256
    with pytest.raises(InvalidArgument):
        _sealer().read_position(token.decode("latin-1"), field="after_position")


@pytest.mark.parametrize("token", ["x", "é", "a" * 5_000, "////", "0", "AAAA" * 10, " "])
def test_rubbish_is_refused_with_the_name_of_the_field(token: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        _sealer().read_position(token, field="min_position")
    assert _field(refused) == "min_position"


def test_a_token_of_another_key_does_not_open() -> None:
    token = _sealer(secret=b"f" * 32).position_token(Position(0, 1))
    with pytest.raises(InvalidArgument):
        _sealer().read_position(token, field="after_position")


def test_a_page_token_gives_its_cursor_back_whatever_the_page_size() -> None:
    sealer = _sealer()
    token = sealer.page_token(["2026-01-01", 7, None], query=QUERY, customer_id="a")
    again = jobs_pb2.ListJobsRequest(parent="customers/a", page_size=99, page_token=token, min_position="x")
    assert sealer.read_page(token, query=again, customer_id="a") == ("2026-01-01", 7, None)


def test_a_page_token_of_another_customer_does_not_open() -> None:
    token = _sealer().page_token([1], query=QUERY, customer_id="a")
    with pytest.raises(InvalidArgument) as refused:
        _sealer().read_page(token, query=QUERY, customer_id="b")
    assert _field(refused) == "page_token"


def test_a_page_token_of_another_filter_does_not_open() -> None:
    token = _sealer().page_token([1], query=QUERY, customer_id="a")
    other = jobs_pb2.ListJobsRequest(parent="customers/a", page_size=10, state=4)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidArgument):
        _sealer().read_page(token, query=other, customer_id="a")


def test_a_position_is_no_page_token() -> None:
    token = _sealer().position_token(Position(0, 1))
    with pytest.raises(InvalidArgument):
        _sealer().read_page(token, query=QUERY, customer_id="a")


async def test_a_page_token_ends_after_three_days() -> None:
    clock = ManualClock()
    sealer = _sealer(clock)
    token = sealer.page_token([1], query=QUERY, customer_id="a")
    await clock.advance(PAGE_TOKEN_LIFE_SECONDS - 1)
    assert sealer.read_page(token, query=QUERY, customer_id="a") == (1,)
    await clock.advance(2)
    with pytest.raises(InvalidArgument):
        sealer.read_page(token, query=QUERY, customer_id="a")
