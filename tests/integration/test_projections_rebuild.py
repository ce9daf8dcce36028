"""Every read model of the services, built again from any history, has the rows that it had live."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.rebuild.difference import compare
from eventstore.rebuild.read_model import ReadModel
from eventstore.rebuild.rebuild import rebuild
from eventstore.rebuild.swap import swap, swap_back
from services.domain.gap_rules import default_rules
from services.projections.registry import registered
from services.runtime.config import Environment, TimingConfig
from tests.cloned_database import cloned_database
from tests.doubles.random_history import happen, random_history
from tests.fix_intake import postgres_cluster, services_template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.projections.registry import Owned
    from stack.postgres import EmbeddedPostgres

__all__ = ["postgres_cluster", "services_template"]

RANDOM = Random(7)  # noqa: S311 - histories, no secrets
PULSES = {"AttemptPulse", "ServicePulse", "WorkerPulse"}


def projections() -> Mapping[str, Owned]:
    """Return all read models."""
    return registered(TimingConfig.read(Environment({})))


async def follow(store: PostgresEventStore, url: str, random: Random, pulses_count: int = 60) -> None:
    """Let every projector follow while a history happens, and end when all of it is in the rows."""
    async with asyncio.timeout(120), AsyncExitStack() as stack:
        followers: list[Projector] = []
        for owned in projections().values():
            page_max = random.randint(1, 40)
            follower = Projector(
                store, url, owned.projection, role=owned.role, poll_seconds=0.2, page_max=page_max
            )
            await stack.enter_async_context(follower.running())
            followers.append(follower)
        await happen(store, random_history(random, pulses_count))
        for each in followers:
            for lane in each.projection.lanes:
                await each.wait_until(await store.head(lane))


@given(seed=st.integers(0, 2**32))
# A history has a thousand causes: its seed says more than a smaller one, and each try takes seconds.
@settings(max_examples=4, phases=[Phase.reuse, Phase.generate])
def test_live_and_rebuilt_are_the_same_rows(
    postgres_cluster: EmbeddedPostgres, services_template: str, seed: int
) -> None:
    async def look() -> None:
        random = Random(seed)  # noqa: S311 - a history, no secret
        async with (
            cloned_database(postgres_cluster, services_template) as url,
            PostgresEventStore.open(url) as store,
        ):
            await follow(store, url, random)
            for owned in projections().values():
                model = ReadModel(store, url, owned.projection, owned.role)
                await rebuild(model, page_max=random.randint(1, 60))
                found = await compare(model)
                differences = [(each.table, row) for each in found.tables for row in each.rows]
                assert not differences, owned.projection.name
                assert found.same
                assert sum(each.live_count for each in found.tables) > 0, owned.projection.name

    asyncio.run(look())


def test_every_table_of_every_service_belongs_to_one_read_model() -> None:
    owned = [
        (each.projection.schema, table) for each in projections().values() for table in each.projection.tables
    ]

    assert len(owned) == len(set(owned))


def test_no_row_is_written_from_two_lanes() -> None:
    for rule in default_rules(timedelta(seconds=60), timedelta(seconds=10)):
        for types in (rule.opened_by | rule.closed_by, rule.renewed_by):
            assert types <= PULSES or not types & PULSES, rule.name


async def tables(url: str) -> dict[tuple[str, str], Any]:
    """Return what the catalogue says of rights and policies of all tables of the services."""
    query = sql.SQL(
        "select n.nspname, c.relname, c.relacl::text, c.reloptions, c.relrowsecurity, c.relforcerowsecurity,"
        " (select array_agg((polname, polroles, pg_get_expr(polqual, polrelid))::text order by polname)"
        "  from pg_policy where polrelid = c.oid),"
        " (select array_agg(i::text order by i::text)"
        "  from (select indexrelid::regclass as i from pg_index where indrelid = c.oid) as of_table)"
        " from pg_class c join pg_namespace n on n.oid = c.relnamespace"
        " where c.relkind = 'r' and n.nspname in ('intake', 'scheduler', 'submitter', 'monitor')"
    )
    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (await connection.execute(query)).fetchall()
    return {(schema, name): rest for schema, name, *rest in rows}


@pytest.mark.parametrize("name", sorted(projections()))
async def test_each_read_model_is_swapped_and_goes_on(
    postgres_cluster: EmbeddedPostgres, services_template: str, name: str
) -> None:
    async with (
        cloned_database(postgres_cluster, services_template) as url,
        PostgresEventStore.open(url) as store,
    ):
        before = await tables(url)
        owned = projections()[name]
        model = ReadModel(store, url, owned.projection, owned.role)
        await happen(store, random_history(RANDOM, 10))
        await rebuild(model)
        await swap(model)
        assert await tables(url) == before

        follower = Projector(store, url, owned.projection, role=owned.role, poll_seconds=0.2)
        async with asyncio.timeout(30), follower.running():
            await happen(store, random_history(RANDOM, 10)[-5:])
            for lane in owned.projection.lanes:
                await follower.wait_until(await store.head(lane))
        await rebuild(model)
        assert (await compare(model)).same
        await swap_back(model)
        assert await tables(url) == before
