"""Databases cloned from a migrated template: quick to make, and nobody else's."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from stack.postgres import EmbeddedPostgres

TEMPLATE = "eventstore_template"


@asynccontextmanager
async def cloned_database(postgres: EmbeddedPostgres, template: str = TEMPLATE) -> AsyncGenerator[str]:
    """Give a copy of the template, dropped afterwards."""
    url = await postgres.clone_database(template)
    try:
        yield url
    finally:
        await postgres.drop_database(str(conninfo_to_dict(url)["dbname"]))
