"""A whole service process around the obedient monitor, for tests that send signals to a real process.

Its answers take as long as OBEDIENT_SECONDS says; a line on stderr tells when a call has begun.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

from services.runtime.clock import SystemClock
from services.runtime.config import ServiceConfig
from services.runtime.loop import Loop
from services.runtime.process import Service, run_process
from tests.doubles.monitor_servicer import ObedientMonitor
from tests.fix_server import verify_test_key

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from services.runtime.config import Environment


def _tell(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


async def assemble(environment: Environment, stack: AsyncExitStack) -> Service:
    """Put the process together."""
    monitor = ObedientMonitor()

    async def work() -> None:
        _tell("call begun")
        await asyncio.sleep(float(os.environ.get("OBEDIENT_SECONDS", "0")))

    async def look_around() -> bool:
        return False

    monitor.on_call = work
    stack.callback(_tell, "closed")
    loop = Loop("obedient", look_around, interval_seconds=60, clock=SystemClock())
    return Service(ServiceConfig.read(environment), [monitor.hosted()], verify_test_key, [loop])


if __name__ == "__main__":
    run_process("obedient", assemble)
