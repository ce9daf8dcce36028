"""Checks of the archive's records: nothing lies between the archive and the log, and each record is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstore.care.check import Rows

#: Events, and where each stream's events stand among them.
_OBJECTS: Final = 2

_JOINTS: Final = """
with stands as (
  select from_position, to_position from es.archive where detached_at is not null
  union all
  select from_position, to_position from es.partition where log = 'event'
)
select from_position, expected from (
  select from_position, lag(to_position, 1, 1::bigint) over (order by from_position) as expected from stands
) joints
where from_position <> expected order by from_position limit %(places)s
"""
_RECORDS: Final = """
select a.from_position, a.url,
       (select count(*) from es.archive_object o where o.from_position = a.from_position) as objects,
       (select count(*) from es.archive_lane l where l.from_position = a.from_position) as lanes,
       (select count(*) from es.lane where lane >= 0) as expected_lanes,
       (select count(distinct p.content) from es.archive_part p where p.from_position = a.from_position)
         as contents,
       a.erased_at is not null as erased
from es.archive a order by a.from_position
"""
_UNFINISHED: Final = """
select from_position, case when deleted_at is not null then 'deleted' else 'detached' end as state
from es.archive
where detached_at < clock_timestamp() - make_interval(secs => %(old_seconds)s) and dropped_at is null
   or deleted_at < clock_timestamp() - make_interval(secs => %(old_seconds)s) and erased_at is null
order by from_position limit %(places)s
"""


def judge_joints(rows: Rows) -> Iterator[Finding]:
    """Find ranges that stand neither in the log nor in the archive, or in both."""
    for row in rows:
        missing = row["from_position"] > row["expected"]
        yield Finding(
            f"positions {row['expected']} to {row['from_position'] - 1} stand neither here nor in the archive"
            if missing
            else "this range stands in the log and in the archive, or twice in one of them",
            f"partition from {row['from_position']}",
            "look for the partition's table and its objects, and restore what is missing",
        )


def judge_records(rows: Rows) -> Iterator[Finding]:
    """Find archived partitions that could not be read back."""
    for row in rows:
        lacking = [
            what
            for what, lacks in (
                ("objects", row["objects"] != _OBJECTS),
                ("lanes", row["lanes"] != row["expected_lanes"]),
                ("parts", not row["erased"] and row["contents"] != _OBJECTS),
            )
            if lacks
        ]
        if lacking:
            yield Finding(
                f"its record lacks {' and '.join(lacking)}: readers cannot find its events",
                f"archived partition from {row['from_position']}, at {row['url']}",
                "restore its rows of es.archive_object, es.archive_lane and es.archive_part from a backup",
            )


def judge_unfinished(rows: Rows) -> Iterator[Finding]:
    """Find partitions on their way out that stopped in the middle."""
    for row in rows:
        yield Finding(
            f"it was {row['state']} long ago, and what it took is not freed",
            f"archived partition from {row['from_position']}",
            "run `python -m eventstore archive` or `retention` again: they go on where they stopped",
            Severity.ADVICE,
        )


CHECKS: Final = (
    Check("archive joints", "Do archive and log join?", _JOINTS, judge_joints),
    Check("archive records", "Is each archive's record whole?", _RECORDS, judge_records),
    Check("archive ways", "Did archiving finish?", _UNFINISHED, judge_unfinished),
)
