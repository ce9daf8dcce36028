"""The embedded SQS server: ministack on 127.0.0.1, in a process of its own, ready when it lists queues.

It keeps queues in memory only: a message is a hint (docs/architecture), the database holds the work.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from stack.parts import Gated
from stack.ports import choose_ports
from stack.probes import answers_sqs
from stack.process import Command

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from stack.guardian import Guardian

REGION = "us-east-1"
#: ministack takes any key; these are no secrets.
CREDENTIALS = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "embedded",
    "AWS_SECRET_ACCESS_KEY": "embedded",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


class QueueServer(Gated):
    """An SQS endpoint on a port of its own."""

    def __init__(
        self,
        *,
        log_path: Path,
        scratch: Path,
        port: int | None = None,
        guardian: Guardian | None = None,
    ) -> None:
        self.port = port or choose_ports(1)[0]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        scratch.mkdir(parents=True, exist_ok=True)
        command = Command(
            name="queue",
            argv=(sys.executable, "-m", "ministack"),
            log_path=log_path,
            environment=_environment(self.port, scratch),
            grace_seconds=3.0,
        )
        super().__init__(command, answers_sqs(self.endpoint), guardian)

    def environment(self) -> Mapping[str, str]:
        """Return what an AWS SDK needs to find this server."""
        return {**CREDENTIALS, "AWS_ENDPOINT_URL_SQS": self.endpoint}


def _environment(port: int, scratch: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "sqs",
        "LOG_LEVEL": "WARNING",
    }
