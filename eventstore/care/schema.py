"""Checks of the schema's age: every migration of this code is applied, unchanged, and none beyond it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from eventstore.care.check import Rows
    from eventstore.migrate import Migration

NAME: Final = "migrations"
PENDING: Final = "not applied yet"

_APPLIED: Final = "select number, name, checksum from es.migration order by number"


def judge_migrations(migrations: Sequence[Migration], rows: Rows) -> Iterator[Finding]:
    """Find migrations that are missing, changed, or unknown to this code."""
    applied = {row["number"]: row for row in rows}
    for each in migrations:
        place = f"migration {each.number:04}_{each.name}"
        row = applied.pop(each.number, None)
        if row is None:
            yield Finding(PENDING, place, "run `python -m eventstore migrate`")
        elif bytes(row["checksum"]) != each.checksum:
            yield Finding(
                "its files are not those that were applied",
                place,
                "take the release whose files match, or write what changed as a new migration",
            )
    for number, row in applied.items():
        yield Finding(
            "this code does not know it: the database is newer",
            f"migration {number:04}_{row['name']}",
            "use the release that this database was migrated by, or a later one",
        )


def checks(migrations: Sequence[Migration]) -> Sequence[Check]:
    """Return the check of the migrations given."""
    return (
        Check(
            NAME,
            "Is the schema this code's own?",
            _APPLIED,
            partial(judge_migrations, migrations),
        ),
    )
