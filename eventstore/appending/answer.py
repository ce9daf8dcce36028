"""Reads what `es.append_v2` and `es.append_one_v1` answer, and tells it to each request."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from eventstore.appending.arrays import read_bigints, read_integers, read_smallints
from eventstore.errors import EventIdReused, InvalidAppend, WrongExpectedVersion
from eventstore.types import Appended, Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg.pq.abc import PGresult

    from eventstore.types import StreamAppend

_APPENDED, _DUPLICATE, _CONFLICT, _REUSED = range(4)
_BIGINT: Final = struct.Struct(">q")
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)


class LedgerRequest:
    """One append on its way; when its answer was lost, `lost_after` says how far the lane was before."""

    __slots__ = ("appends", "lost_after")

    def __init__(self, appends: Sequence[StreamAppend]) -> None:
        self.appends = appends
        self.lost_after: int | None = None

    @property
    def is_one_event(self) -> bool:
        """Whether this is one event for one stream."""
        return len(self.appends) == 1 and len(self.appends[0].events) == 1


class _Verdict(NamedTuple):
    """What the answer says of one request, when each was looked at apart."""

    code: int
    position: int | None
    time: int | None
    stream: int | None
    found: int | None


def read_lone_answer(request: LedgerRequest, lane: int, result: PGresult) -> Appended | Exception:
    """Return what became of the one event that `es.append_one_v1` was given."""
    code, position, time, version, found = (_number(result, column) for column in range(5))
    return _told(request, lane, _Verdict(code or 0, position, time, 1, found), (version,))


def read_answer(batch: Sequence[LedgerRequest], lane: int, result: PGresult) -> list[Appended | Exception]:
    """Return what became of each request."""
    versions = read_integers(_column(result, 2))
    if result.get_value(0, 3) is None:
        base = _BIGINT.unpack(_column(result, 0))[0]
        recorded_at = _instant(_BIGINT.unpack(_column(result, 1))[0])
        return _all_appended(batch, lane, base, recorded_at, versions)
    verdicts = zip(
        read_smallints(_column(result, 3)),
        read_bigints(_column(result, 4)),
        read_bigints(_column(result, 5)),
        read_integers(_column(result, 6)),
        read_integers(_column(result, 7)),
        strict=True,
    )
    return _each_judged(batch, lane, [_Verdict(code or 0, *rest) for code, *rest in verdicts], versions)


def _all_appended(
    batch: Sequence[LedgerRequest],
    lane: int,
    base: int,
    recorded_at: datetime,
    versions: Sequence[int | None],
) -> list[Appended | Exception]:
    told: list[Appended | Exception] = []
    last, seen = base, 0
    for request in batch:
        for each in request.appends:
            last += len(each.events)
        until = seen + len(request.appends)
        told.append(Appended(_whole(versions[seen:until]), Position(lane, last), recorded_at))
        seen = until
    return told


def _each_judged(
    batch: Sequence[LedgerRequest], lane: int, verdicts: Sequence[_Verdict], versions: Sequence[int | None]
) -> list[Appended | Exception]:
    told: list[Appended | Exception] = []
    seen = 0
    for request, verdict in zip(batch, verdicts, strict=True):
        until = seen + len(request.appends)
        told.append(_told(request, lane, verdict, versions[seen:until]))
        seen = until
    return told


def _told(
    request: LedgerRequest, lane: int, verdict: _Verdict, versions: Sequence[int | None]
) -> Appended | Exception:
    if verdict.code in (_APPENDED, _DUPLICATE):
        position = Position(lane, verdict.position or 0)
        # What stands beyond the place that the lane had reached when our own try was lost, is that try.
        ours = request.lost_after is not None and position.number > request.lost_after
        duplicate = verdict.code == _DUPLICATE and not ours
        return Appended(_whole(versions), position, _instant(verdict.time or 0), duplicate)
    if verdict.code == _REUSED:
        return EventIdReused()
    refused = request.appends[(verdict.stream or 1) - 1]
    if verdict.code == _CONFLICT:
        return WrongExpectedVersion(refused.stream_id, refused.expected_version, verdict.found or 0)
    return InvalidAppend(f"stream {refused.stream_id} belongs to another tenant or category")


def _whole(versions: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(each or 0 for each in versions)


def _number(result: PGresult, column: int) -> int | None:
    value = result.get_value(0, column)
    return None if value is None else int.from_bytes(value, "big", signed=True)


def _column(result: PGresult, number: int) -> bytes:
    return result.get_value(0, number) or b""


def _instant(microseconds: int) -> datetime:
    return _POSTGRES_EPOCH + timedelta(microseconds=microseconds)
