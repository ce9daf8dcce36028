"""The partitions of both logs: what they hold, how big they are, how far they went towards the archive."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, LiteralString

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import AsyncConnection

HOT_DAYS: Final = 90
HOT: Final = timedelta(days=HOT_DAYS)

# One row per partition. A partition is full when every lane of its log has passed it.
_PARTITIONS: LiteralString = """
with part as (
  select p.log, p.from_position, p.to_position - 1 as to_position, p.to_position as next_position,
         to_regclass(format('es.%%I', p.log || '_from_' || p.from_position)) as relation,
         not exists (select from es.lane l
                     where (l.lane >= 0) = (p.log = 'event') and l.floor < p.to_position) as is_full
  from (select log, from_position, to_position from es.partition
        union select 'event', from_position, to_position from es.archive) p
), told as (
  select part.*, a.from_position is not null as is_archived, a.detached_at, a.dropped_at, a.deleted_at,
         a.hold_until, a.url,
         coalesce(a.first_recorded_at, (
           select min(first.recorded_at) from es.lane l cross join lateral (
             select e.recorded_at from es.event e
             where part.log = 'event' and e.lane = l.lane and e.position >= part.from_position
               and e.position < part.next_position order by e.position limit 1) first),
           (select p.recorded_at from es.pulse p where part.log = 'pulse' and p.position >= part.from_position
            and p.position < part.next_position order by p.position limit 1)) as first_recorded_at,
         coalesce(a.last_recorded_at, (
           select max(last.recorded_at) from es.lane l cross join lateral (
             select e.recorded_at from es.event e
             where part.log = 'event' and e.lane = l.lane and e.position >= part.from_position
               and e.position < part.next_position order by e.position desc limit 1) last),
           (select p.recorded_at from es.pulse p where part.log = 'pulse' and p.position >= part.from_position
            and p.position < part.next_position order by p.position desc limit 1)) as last_recorded_at,
         coalesce((select sum(last.position - part.from_position + 1) from es.lane l cross join lateral (
             select e.position from es.event e
             where part.log = 'event' and e.lane = l.lane and e.position >= part.from_position
               and e.position < part.next_position order by e.position desc limit 1) last),
           (select p.position - part.from_position + 1 from es.pulse p
            where part.log = 'pulse' and p.position >= part.from_position and p.position < part.next_position
            order by p.position desc limit 1), a.events, 0)::bigint as events,
         (select sum(o.bytes) from es.archive_object o where o.from_position = a.from_position)::bigint
           as archive_bytes,
         coalesce((select sum(least(s.to_position, part.to_position) - s.from_position + 1)
          from es.log_seal s where part.log = 'event' and s.from_position >= part.from_position
            and s.from_position < part.next_position), 0)::bigint as sealed_events
  from part left join es.archive a on part.log = 'event' and a.from_position = part.from_position
)
select log, from_position, to_position,
       case when deleted_at is not null then 'deleted'
            when dropped_at is not null then 'archived'
            when detached_at is not null then 'detached'
            when events = 0 then 'ahead'
            when not is_full then 'newest'
            when is_archived and hold_until > clock_timestamp() then 'restored'
            when is_archived then 'recorded'
            when log = 'event' and last_recorded_at < clock_timestamp() - %(hot)s::interval then 'archivable'
            else 'hot' end as state,
       events, coalesce(pg_total_relation_size(relation), 0)::bigint as bytes,
       first_recorded_at, last_recorded_at, sealed_events, url as archive_url, archive_bytes
from told order by log, from_position
"""


@dataclass(frozen=True, slots=True)
class PartitionInfo:
    """One partition of a log.

    Shape: `state` is `ahead` (empty), `newest`, `hot`, `archivable` (full and old), `recorded` (archived, but
    in the database still), `detached` (to be dropped), `archived`, `restored` or `deleted`; `bytes` what it
    takes in the database, with its indexes; `archive_bytes` what it takes in storage.
    """

    log: str
    from_position: int
    to_position: int
    state: str
    events: int
    bytes: int
    first_recorded_at: datetime | None
    last_recorded_at: datetime | None
    sealed_events: int
    archive_url: str | None
    archive_bytes: int | None


async def list_partitions(connection: AsyncConnection, hot: timedelta = HOT) -> Sequence[PartitionInfo]:
    """Return the partitions of both logs in order; `hot` is how long events stay in the database."""
    cursor = connection.cursor(row_factory=class_row(PartitionInfo))
    await cursor.execute(_PARTITIONS, {"hot": hot})
    return await cursor.fetchall()


def logs_without_room(partitions: Sequence[PartitionInfo]) -> Sequence[str]:
    """Return the logs that have no partition ahead of what was appended: the next append may be the last."""
    logs = {each.log for each in partitions}
    return sorted(logs - {each.log for each in partitions if each.state == "ahead"})
