"""Builds and compares read models for a service: progress as it comes, refusals in the domain's words."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from eventstore.errors import StoreUnavailable
from eventstore.rebuild.difference import compare
from eventstore.rebuild.errors import RebuildError
from eventstore.rebuild.rebuild import abandon, rebuild
from services.domain.errors import ProjectionStateForbids, StoreDown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from eventstore.rebuild.difference import Difference
    from eventstore.rebuild.progress import RebuildProgress
    from eventstore.rebuild.read_model import ReadModel

REPORT_SECONDS: Final = 0.5
_NOT_ALLOWED: Final = (
    "the login of this process may not build read models; an operator's may:"
    " python -m services.projections rebuild"
)


async def rebuilding(model: ReadModel, *, start_over: bool) -> AsyncGenerator[RebuildProgress]:
    """Build a read model beside the live one and yield how far it is, twice a second and in the end.

    Broken off, it goes on when it is asked for again.
    Errors: ProjectionStateForbids, StoreDown, and what the projection raises.
    """
    seen: list[RebuildProgress] = []

    def _note(progress: RebuildProgress) -> None:
        seen[:] = [progress]

    with _in_domain_words():
        if start_over:
            await abandon(model)
        work = asyncio.create_task(rebuild(model, _note), name=f"rebuild {model.name}")
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=REPORT_SECONDS)
                for each in seen:
                    yield each
            work.result()
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


async def difference(model: ReadModel, rows_max: int) -> Difference:
    """Compare the live read model with what was built beside it.

    Errors: ProjectionStateForbids, StoreDown.
    """
    with _in_domain_words():
        return await compare(model, rows_max=rows_max)


@contextmanager
def _in_domain_words() -> Generator[None]:
    try:
        yield
    except RebuildError as error:
        raise ProjectionStateForbids(str(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise ProjectionStateForbids(_NOT_ALLOWED) from error
    except (psycopg.OperationalError, StoreUnavailable) as error:
        raise StoreDown from error
