"""A worker whose queue goes down between the claim and the delete of its message."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import pytest
from directorybolt.directory.v1.directory_pb2 import Directory
from directorybolt.job.v1 import job_pb2

from services.domain.errors import QueueDown
from services.domain.submission import Submission
from services.runtime.clock import SystemClock
from services.runtime.queue import WorkMessage
from services.runtime.queue_memory import MemoryQueue
from services.submitter.claiming import Claim
from services.submitter.settings import WorkerSettings
from services.submitter.worker import Worker

if TYPE_CHECKING:
    from services.runtime.queue import Received
    from services.submitter.attempt_runner import AttemptRunner
    from services.submitter.claiming import Claimer
    from services.submitter.presence import Presence

SECONDS = timedelta(seconds=1)


class DeletesNothing(MemoryQueue):
    """A queue that goes down when a message should be settled."""

    async def delete(self, received: Received) -> None:
        """Errors: QueueDown, always."""
        raise QueueDown(message=received.message_id)


class Claims:
    """Stands in for the claimer: every message is a lease."""

    async def claim(self, message: WorkMessage) -> Claim:
        """Return the lease."""
        return Claim(Submission(submission_id=str(message.submission_id)), Directory())


class Runs:
    """Stands in for the runner: notes what it was started with."""

    def __init__(self) -> None:
        self.seen: list[tuple[Claim, str]] = []
        self.started = asyncio.Event()

    async def run(self, claim: Claim, trace_parent: str) -> None:
        """Note it."""
        self.seen.append((claim, trace_parent))
        self.started.set()


class Beats:
    """Stands in for the worker's stream."""

    draining = False

    async def beat(self, busy: int) -> None:
        """Say nothing."""

    def progressed(self) -> None:
        """Say nothing."""


async def test_a_claim_is_worked_on_although_its_message_cannot_be_deleted() -> None:
    queue, runs = DeletesNothing(SystemClock()), Runs()
    await queue.send("p1", WorkMessage(uuid4(), uuid4(), job_pb2.ATTEMPT_PURPOSE_SUBMIT, uuid4()))
    worker = Worker(
        queue,
        cast("Claimer", Claims()),
        cast("AttemptRunner", runs),
        cast("Presence", Beats()),
        WorkerSettings("worker", 2, lease=SECONDS, pulse=SECONDS, permit=SECONDS, retry_scale=1),
    )

    with pytest.raises(QueueDown):
        await worker.run_once()

    async with asyncio.timeout(5):
        await runs.started.wait()
    await worker.finish()
