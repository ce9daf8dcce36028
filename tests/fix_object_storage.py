"""A real S3 server for tests: one ministack per run, and a bucket of its own for each test."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast
from uuid import uuid4

import boto3
import pytest

from stack.parts import Gated
from stack.ports import choose_ports
from stack.probes import answers_sqs
from stack.process import Command
from stack.queue_server import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping
    from pathlib import Path

    from mypy_boto3_s3 import S3Client


@contextmanager
def _served(folder: Path) -> Generator[str]:
    (port,) = choose_ports(1)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3,sqs",
        "LOG_LEVEL": "WARNING",
    }
    argv = (sys.executable, "-m", "ministack")
    command = Command(name="s3", argv=argv, log_path=folder / "s3.log", environment=environment)
    endpoint = f"http://127.0.0.1:{port}"
    server = Gated(command, answers_sqs(endpoint))
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            yield endpoint
        finally:
            runner.run(server.stop())


@pytest.fixture(scope="session")
def s3_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Run an S3 server and give the variables by which boto3 finds it."""
    with _served(tmp_path_factory.mktemp("s3")) as endpoint:
        yield {**CREDENTIALS, "AWS_ENDPOINT_URL_S3": endpoint}


@pytest.fixture
def s3(s3_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Client]:
    """Give a client of the server, which boto3 also finds by itself within the test."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    connect = cast("Callable[..., S3Client]", boto3.Session().client)  # pyright: ignore[reportUnknownMemberType]
    client = connect("s3")
    yield client
    client.close()


@pytest.fixture
def bucket(s3: S3Client) -> str:
    """Give a bucket that no other test has."""
    name = f"test-{uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    return name
