"""Gives every item of a round its turn: one that fails must not keep those behind it waiting for ever."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

T = TypeVar("T")
R = TypeVar("R")

#: Enough for appends to share a commit.
AT_ONCE_MAX: Final = 20


async def give_turns(
    items: Iterable[T], act: Callable[[T], Awaitable[R]], *, at_once_max: int = AT_ONCE_MAX
) -> Sequence[R]:
    """Return what `act` made of each item, in their order.

    Errors: ExceptionGroup of what failed, after all had their turn.
    """
    gate = asyncio.Semaphore(at_once_max)

    async def take_turn(item: T) -> R:
        """Wait for a place, then act."""
        async with gate:
            return await act(item)

    results = await asyncio.gather(*map(take_turn, items), return_exceptions=True)
    failed = [each for each in results if isinstance(each, Exception)]
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(results)} failed", failed)
    return [each for each in results if not isinstance(each, BaseException)]
