"""A real KMS server for tests: one ministack per run, and as many keys as a test makes."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

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

    from mypy_boto3_kms import KMSClient


@contextmanager
def _served(folder: Path) -> Generator[str]:
    (port,) = choose_ports(1)
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "kms,sqs",
        "LOG_LEVEL": "WARNING",
    }
    argv = (sys.executable, "-m", "ministack")
    command = Command(name="kms", argv=argv, log_path=folder / "kms.log", environment=environment)
    endpoint = f"http://127.0.0.1:{port}"
    server = Gated(command, answers_sqs(endpoint))
    with asyncio.Runner() as runner:
        runner.run(server.start())
        try:
            yield endpoint
        finally:
            runner.run(server.stop())


@pytest.fixture(scope="session")
def kms_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """Run a KMS server and give the variables by which boto3 finds it."""
    with _served(tmp_path_factory.mktemp("kms")) as endpoint:
        yield {**CREDENTIALS, "AWS_ENDPOINT_URL_KMS": endpoint}


@pytest.fixture
def kms(kms_environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[KMSClient]:
    """Give a client of the server, which boto3 also finds by itself within the test."""
    for name, value in kms_environment.items():
        monkeypatch.setenv(name, value)
    connect = cast("Callable[..., KMSClient]", boto3.Session().client)  # pyright: ignore[reportUnknownMemberType]
    client = connect("kms")
    yield client
    client.close()
