#!/usr/bin/env python3
"""Ask this container's own health servicer whether it serves, for Docker's HEALTHCHECK.

Exit 0 when it says SERVING, else 1 with a sentence on standard error. It speaks gRPC, as every other
asker does, rather than looking whether a port is open: a process that hangs has its port open too.
"""

from __future__ import annotations

import asyncio
import os
import sys

import grpc.aio
from grpc_health.v1 import health_pb2

HEALTH_ADDRESS = f"127.0.0.1:{os.environ.get('DIRECTORYBOLT_HEALTH_PORT', '8081')}"
ANSWER_WITHIN_SECONDS = 3.0


async def ask(address: str) -> str:
    """Return the name of the status that `address` answers for the whole process.

    Errors: AioRpcError when it does not answer in time.
    """
    async with grpc.aio.insecure_channel(address) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        answer = await check(health_pb2.HealthCheckRequest(service=""), timeout=ANSWER_WITHIN_SECONDS)
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def main() -> int:
    """Return the exit code that Docker wants."""
    try:
        status = asyncio.run(ask(HEALTH_ADDRESS))
    except grpc.aio.AioRpcError as error:
        sys.stderr.write(f"{HEALTH_ADDRESS} does not answer: {error.code().name}\n")
        return 1
    sys.stderr.write(f"{HEALTH_ADDRESS} says {status}\n")
    return 0 if status == "SERVING" else 1


if __name__ == "__main__":
    sys.exit(main())
