"""What `es.append_v2` answered to a batch, told to each of its requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from eventstore.errors import EventIdReused, InvalidAppend, WrongExpectedVersion
from eventstore.types import Appended, Position

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from typing import TypeAlias

    from eventstore.types import StreamAppend

    Request: TypeAlias = Sequence[StreamAppend]

_APPENDED, _DUPLICATE, _CONFLICT, _REUSED = range(4)


class Answer(NamedTuple):
    """The one row of the answer; `codes` and what follows it are None when every request was appended."""

    base: int
    recorded_at: datetime
    versions: Sequence[int]
    codes: Sequence[int] | None
    positions: Sequence[int] | None
    times: Sequence[datetime] | None
    streams: Sequence[int] | None
    found: Sequence[int] | None


def accepted(batch: Sequence[Request], lane: int, answer: Answer) -> Sequence[Appended]:
    """Return where each request went, when all of them were appended."""
    told: list[Appended] = []
    last, seen = answer.base, 0
    for request in batch:
        for each in request:
            last += len(each.events)
        versions = tuple(answer.versions[seen : seen + len(request)])
        seen += len(request)
        told.append(Appended(versions, Position(lane, last), answer.recorded_at))
    return told


def judged(batch: Sequence[Request], lane: int, answer: Answer) -> Sequence[Appended | Exception]:
    """Return what became of each request, when each was looked at apart."""
    told: list[Appended | Exception] = []
    seen = 0
    for number, request in enumerate(batch):
        versions = tuple(answer.versions[seen : seen + len(request)])
        seen += len(request)
        told.append(_verdict(request, lane, answer, number, versions))
    return told


def _verdict(
    request: Request, lane: int, answer: Answer, number: int, versions: tuple[int, ...]
) -> Appended | Exception:
    if not (answer.codes and answer.positions and answer.times and answer.streams and answer.found):
        raise AssertionError("append_v2 says of each request what became of it")
    code = answer.codes[number]
    if code in (_APPENDED, _DUPLICATE):
        position = Position(lane, answer.positions[number])
        return Appended(versions, position, answer.times[number], duplicate=code == _DUPLICATE)
    if code == _REUSED:
        return EventIdReused()
    refused = request[answer.streams[number] - 1]
    if code == _CONFLICT:
        return WrongExpectedVersion(refused.stream_id, refused.expected_version, answer.found[number])
    return InvalidAppend(f"stream {refused.stream_id} belongs to another tenant or category")
