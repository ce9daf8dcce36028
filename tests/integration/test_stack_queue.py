"""The embedded queue server: a real SQS API on loopback, two side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.queue_server import QueueServer
from tests.fix_processes import needs_proc

LOOPBACK = "0100007F"
LISTENING = "0A"


async def call(server: QueueServer, action: str, **body: object) -> dict[str, Any]:
    """Call the SQS API in its JSON protocol."""
    headers = {"X-Amz-Target": f"AmazonSQS.{action}", "Content-Type": "application/x-amz-json-1.0"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(server.endpoint, headers=headers, json=body)
    return answer.raise_for_status().json()


@pytest.fixture
async def server(tmp_path: Path):
    started = QueueServer(log_path=tmp_path / "one.log", scratch=tmp_path / "one")
    await started.start()
    yield started
    await started.stop()


async def test_a_message_goes_in_and_comes_out(server: QueueServer):
    url = (await call(server, "CreateQueue", QueueName="jobs"))["QueueUrl"]
    await call(server, "SendMessage", QueueUrl=url, MessageBody="look at submission 7")
    received = await call(server, "ReceiveMessage", QueueUrl=url)
    assert [message["Body"] for message in received["Messages"]] == ["look at submission 7"]


async def test_two_servers_side_by_side_do_not_see_each_others_queues(server: QueueServer, tmp_path: Path):
    other = QueueServer(log_path=tmp_path / "two.log", scratch=tmp_path / "two")
    await other.start()
    try:
        await call(server, "CreateQueue", QueueName="jobs")
        assert (await call(other, "ListQueues")).get("QueueUrls", []) == []
    finally:
        await other.stop()


@needs_proc
async def test_it_listens_on_loopback_only(server: QueueServer):
    rows = [line.split() for line in listeners()]
    addresses = [row[1] for row in rows if row[3] == LISTENING]
    assert [each for each in addresses if each.endswith(f":{server.port:04X}")] == [
        f"{LOOPBACK}:{server.port:04X}"
    ]


def listeners() -> list[str]:
    """Return the kernel's list of TCP sockets, of both families."""
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    return [line for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]


async def test_an_aws_login_of_the_developer_does_not_reach_it(server: QueueServer):
    told = server.environment()
    assert told["AWS_ENDPOINT_URL_SQS"] == server.endpoint
    assert told["AWS_CONFIG_FILE"] == told["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"
