"""A real SQS server for tests: one ministack per run, and queues of their own for each test."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import pytest_asyncio

from services.runtime.queue_sqs import SqsQueue
from stack.queue_server import QueueServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Iterator, Mapping


@contextmanager
def _served(server: QueueServer) -> Generator[Mapping[str, str]]:
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            yield server.environment()
        finally:
            runner.run(server.stop())


@pytest.fixture(scope="session")
def sqs_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Run an SQS server and give the variables by which boto3 finds it."""
    folder = tmp_path_factory.mktemp("queue")
    with _served(QueueServer(log_path=folder / "queue.log", scratch=folder / "scratch")) as environment:
        yield environment


@pytest_asyncio.fixture
async def sqs_queue(
    sqs_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SqsQueue]:
    """Give an adapter with queues that no other test has."""
    for name, value in sqs_environment.items():
        monkeypatch.setenv(name, value)
    queue = SqsQueue(prefix=f"test-{uuid4().hex[:12]}")
    await queue.ensure_queues()
    yield queue
    await queue.close()
