"""Histories as they come: recorded streams in a random order, with signs of life read against them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from directorybolt.directory.v1 import directory_pb2
from directorybolt.event.v1 import profile_events_pb2, pulse_events_pb2, system_events_pb2

from eventstore.types import NewEvent, StreamAppend
from services.domain import events, identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from random import Random

    from google.protobuf.message import Message

    from eventstore.store import EventStore

FOLDER: Final = Path(__file__).parents[1] / "histories"
_NAMES: Final = UUID(int=0x5EED)


@dataclass(frozen=True, slots=True)
class Happening:
    """One event to append to a stream, or a pulse."""

    stream_id: UUID
    category: str
    tenant: UUID
    event: NewEvent
    pulse: bool = False


async def happen(store: EventStore, happenings: Sequence[Happening]) -> None:
    """Append them, one after the other."""
    for each in happenings:
        if each.pulse:
            await store.append_pulse(each.stream_id, each.category, each.tenant, each.event)
        else:
            await store.append(StreamAppend(each.stream_id, each.category, each.tenant, [each.event]))


def random_history(random: Random, pulses_count: int = 60) -> Sequence[Happening]:
    """Return every recorded history, its streams interleaved, with a fleet of workers that lives and dies."""
    streams = [*(recorded(path) for path in sorted(FOLDER.glob("*.json"))), *_fleet(random), _alerts(random)]
    streams.append([_catalogued(random) for _ in range(8)])
    streams.append([_erased(random)])
    submissions = [each[0] for each in streams if each[0].category == events.SUBMISSION]
    streams += [[_pulse(random, submissions)] for _ in range(pulses_count)]
    merged: list[Happening] = []
    while streams:
        chosen = random.choice(streams)
        merged.append(chosen.pop(0))
        if not chosen:
            streams.remove(chosen)
    return merged


def recorded(path: Path) -> list[Happening]:
    """Return a recorded history as it was appended."""
    history = json.loads(path.read_text(encoding="utf-8"))
    aggregate = history["aggregate"]
    state = history["state"]
    stream_id, tenant = UUID(state[f"{aggregate}_id"]), UUID(state["customer_id"])
    return [
        Happening(
            stream_id,
            aggregate,
            tenant,
            NewEvent(
                each["event_type"],
                base64.b64decode(each["payload"]),
                schema_version=each["schema_version"],
                trace_parent=f"00-{number:032x}-{number:016x}-01",
                actor="recorded",
            ),
        )
        for number, each in enumerate(history["events"], start=1)
    ]


def _fleet(random: Random) -> Iterator[list[Happening]]:
    for number in range(3):
        worker_id = f"w-{number}"
        lives: list[Message] = []
        for _ in range(random.randint(1, 3)):
            lives.append(system_events_pb2.WorkerStarted(worker_id=worker_id, slots=random.randint(1, 4)))
            lives.append(
                random.choice(
                    [
                        system_events_pb2.WorkerStopped(worker_id=worker_id, reason="drained"),
                        system_events_pb2.WorkerLost(worker_id=worker_id),
                    ]
                )
            )
        del lives[len(lives) - random.randint(0, 1) :]
        yield [_system(events.WORKER, worker_id, each) for each in lives]


def _alerts(random: Random) -> list[Happening]:
    alert_id = str(uuid5(_NAMES, str(random.random())))
    facts: list[Message] = [
        system_events_pb2.AlertRaised(alert_id=alert_id, rule="stale_job", subject="jobs/x", summary="s"),
        system_events_pb2.AlertNotified(alert_id=alert_id, channel="slack", tries=1),
        system_events_pb2.AlertNotificationFailed(alert_id=alert_id, channel="pager", tries=3, code="x"),
        system_events_pb2.AlertAcknowledged(alert_id=alert_id, note="seen"),
        system_events_pb2.AlertResolved(alert_id=alert_id, cause="person"),
    ]
    return [_system(events.ALERT, alert_id, each) for each in facts[: random.randint(1, 5)]]


def _catalogued(random: Random) -> Happening:
    name = f"site-{random.randint(0, 3)}"
    entry = directory_pb2.Directory(name=f"directories/{name}", authority=random.randint(0, 99))
    return _system(events.DIRECTORY, name, system_events_pb2.DirectoryCatalogued(directory=entry))


def _erased(random: Random) -> Happening:
    tenant = uuid5(_NAMES, str(random.random()))
    fact = profile_events_pb2.CustomerErased(customer_id=str(tenant), case_number="7")
    return _happening(tenant, events.CUSTOMER, tenant, fact, pulse=False)


def _pulse(random: Random, submissions: Sequence[Happening]) -> Happening:
    worker_id = f"w-{random.randint(0, 3)}"
    kind = random.randint(0, 2)
    if kind == 0:
        beat = pulse_events_pb2.WorkerPulse(
            worker_id=worker_id, busy=1, slots=random.randint(1, 4), draining=random.random() < 0.2
        )
        return _system(events.WORKER, worker_id, beat, pulse=True)
    if kind == 1:
        service = random.choice(["scheduler", "monitor"])
        return _system(events.SERVICE, service, pulse_events_pb2.ServicePulse(service=service), pulse=True)
    chosen = random.choice(submissions)
    beat = pulse_events_pb2.AttemptPulse(
        submission_id=str(chosen.stream_id), claim_version=random.randint(2, 9), worker_id=worker_id
    )
    return _happening(chosen.stream_id, events.SUBMISSION, chosen.tenant, beat, pulse=True)


def _system(category: str, name: str, fact: Message, *, pulse: bool = False) -> Happening:
    stream_id = UUID(name) if category == events.ALERT else uuid5(_NAMES, f"{category} {name}")
    return _happening(stream_id, category, identity.TENANT_ZERO, fact, pulse=pulse)


def _happening(stream_id: UUID, category: str, tenant: UUID, fact: Any, *, pulse: bool) -> Happening:
    event = NewEvent(events.type_of(fact), fact.SerializeToString(deterministic=True))
    return Happening(stream_id, category, tenant, event, pulse)
