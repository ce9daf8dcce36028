"""How the mesh is: each part with a state and its figures, and one score.

The score starts at 100. A part that does not work costs 25, a part that needs a look 10, and each open
critical alert 5, up to 20; it never falls below 0. docs/architecture/monitor.md says the same for people.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from directorybolt.event.v1 import system_events_pb2
from directorybolt.monitor.v1 import monitor_service_pb2 as pb
from directorybolt.submitter.v1 import submitter_service_pb2

from eventstore.following.standing import State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from directorybolt.scheduler.v1.scheduler_service_pb2 import Queue
    from directorybolt.submitter.v1.submitter_service_pb2 import Worker

    from eventstore.following.standing import Standing
    from services.projections.partitions import Room

HEALTHY: Final = pb.HEALTH_STATE_HEALTHY
DEGRADED: Final = pb.HEALTH_STATE_DEGRADED
UNHEALTHY: Final = pb.HEALTH_STATE_UNHEALTHY

LAG_EVENTS_DEGRADED: Final = 1_000
LAG_EVENTS_UNHEALTHY: Final = 100_000
#: So long nobody may take a read model over when its process ends.
UNHELD_SECONDS_DEGRADED: Final = 30
WAITING_SECONDS_DEGRADED: Final = 600
_COST: Final = {HEALTHY: 0, DEGRADED: 10, UNHEALTHY: 25}
_ALERT_COST: Final = 5
_ALERTS_COST_MAX: Final = 20


def database_part(answers: bool, milliseconds: float) -> pb.HealthPart:  # noqa: FBT001  # a fact, not a flag
    """Return the database's part."""
    if not answers:
        return pb.HealthPart(part="database", state=UNHEALTHY, detail="does not answer")
    return pb.HealthPart(part="database", state=HEALTHY, detail=f"answers in {milliseconds:.0f} ms")


def unreachable_part(part: str, code: str) -> pb.HealthPart:
    """Return the part of a service that did not answer."""
    return pb.HealthPart(part=part, state=UNHEALTHY, detail=f"does not answer ({code})")


def worker_part(workers: Sequence[Worker]) -> pb.HealthPart:
    """Return the workers' part: none alive means that nothing is submitted."""
    busy, slots = sum(each.busy for each in workers), sum(each.slots for each in workers)
    detail = f"{len(workers)} alive, {busy} of {slots} slots busy"
    return pb.HealthPart(part="workers", state=HEALTHY if workers else UNHEALTHY, detail=detail)


def queue_part(queue: Queue) -> pb.HealthPart:
    """Return a queue's part."""
    age = queue.oldest_waiting_age.ToTimedelta().total_seconds()
    state = DEGRADED if age > WAITING_SECONDS_DEGRADED else HEALTHY
    detail = f"{queue.waiting} waiting, {queue.dispatched} sent, {queue.claimed} running, oldest {age:.0f} s"
    return pb.HealthPart(part=queue.name, state=state, detail=detail)


def projection_part(standing: Standing) -> pb.HealthPart:
    """Return a read model's part: its distance to the log, and whether it moves at all."""
    is_left_alone = standing.state is State.UNHELD and standing.lag_seconds > UNHELD_SECONDS_DEGRADED
    state = HEALTHY
    if standing.lag > LAG_EVENTS_UNHEALTHY or standing.state is State.PAUSED:
        state = UNHEALTHY
    elif standing.lag > LAG_EVENTS_DEGRADED or standing.parked_count or is_left_alone:
        state = DEGRADED
    return pb.HealthPart(part=f"projection/{standing.name}", state=state, detail=standing.sentence)


def alert_part(open_by_severity: Mapping[int, int]) -> pb.HealthPart:
    """Return the alerts' part."""
    total = sum(open_by_severity.values())
    critical = open_by_severity.get(system_events_pb2.SEVERITY_CRITICAL, 0)
    detail = f"{total} open, {critical} of them critical"
    return pb.HealthPart(part="alerts", state=DEGRADED if critical else HEALTHY, detail=detail)


def log_part(rooms: Iterable[Room]) -> pb.HealthPart:
    """Return the part of the log's partitions: without one ahead, the next append may be the last."""
    full = sorted(room.log for room in rooms if not room.partitions)
    detail = f"no partition ahead: {', '.join(full)}" if full else "partitions ahead"
    return pb.HealthPart(part="log", state=UNHEALTHY if full else HEALTHY, detail=detail)


def log_seal_part(trouble: str) -> pb.HealthPart:
    """Return the part of the log's seals: what has none could be rewritten unseen."""
    detail = trouble or "log sealed"
    return pb.HealthPart(part="log seals", state=DEGRADED if trouble else HEALTHY, detail=detail)


def retention_part(trouble: str) -> pb.HealthPart:
    """Return the part of what keeps the log from growing without bound."""
    detail = trouble or "archive, deletion and pulses up to date"
    return pb.HealthPart(part="retention", state=DEGRADED if trouble else HEALTHY, detail=detail)


def slots_free(worker: Worker) -> int:
    """Return how many attempts could start now: none on a worker that takes no more."""
    if worker.state != submitter_service_pb2.WORKER_STATE_RUNNING:
        return 0
    return max(0, worker.slots - worker.busy)


def score(parts: Iterable[pb.HealthPart], open_by_severity: Mapping[int, int]) -> int:
    """Return the score, 0 to 100."""
    critical = open_by_severity.get(system_events_pb2.SEVERITY_CRITICAL, 0)
    cost = sum(_COST[each.state] for each in parts) + min(_ALERTS_COST_MAX, _ALERT_COST * critical)
    return max(0, 100 - cost)


def worst(parts: Iterable[pb.HealthPart]) -> pb.HealthState.ValueType:
    """Return the state of the whole: that of its worst part."""
    return max((each.state for each in parts), default=HEALTHY)
