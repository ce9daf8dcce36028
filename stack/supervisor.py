"""Start parts in order, keep them running, stop them in reverse order, leave nothing behind.

Parts that start together are ready together: the next ones begin when every gate has opened. A part that
ends by itself is started again with growing pauses, or, when its policy says so, is the end of the stack.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from stack.errors import StackError, StartFailed
from stack.guardian import Guardian

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from stack.parts import Part


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How often a part that fails is started again; beyond that, the stack has failed."""

    #: Restarts allowed within `window_seconds`.
    restarts_max: int
    window_seconds: float = 60.0
    #: Pause before the first restart; doubles with each, up to the last.
    pause_first_seconds: float = 0.2
    pause_seconds_max: float = 5.0

    def pause_seconds(self, restarts: int) -> float:
        """Return the pause before the restart that follows `restarts` recent ones."""
        return min(self.pause_first_seconds * 2.0**restarts, self.pause_seconds_max)


NEVER = RestartPolicy(restarts_max=0)
ON_FAILURE = RestartPolicy(restarts_max=5)


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to a part."""

    name: str
    kind: Literal["ready", "ended", "stopped"]
    #: Set when it ended; minus the signal's number when a signal ended it.
    exit_code: int | None = None


class Supervisor:
    """Holds the parts of one stack."""

    def __init__(self, report: Callable[[Change], None] = lambda _: None) -> None:
        self.guardian = Guardian()
        self._report = report
        self._parts: dict[str, Part] = {}
        self._policies: dict[str, RestartPolicy] = {}
        self._groups: list[list[Part]] = []
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._failure: asyncio.Future[StackError] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        """Start the guardian."""
        await self.guardian.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all parts."""
        await self.stop()

    @property
    def parts(self) -> Mapping[str, Part]:
        """All parts by name, in the order of their start."""
        return self._parts

    async def start(self, *parts: Part, restart: RestartPolicy = NEVER) -> None:
        """Start parts side by side and return when all are ready.

        Errors: StartFailed of the first that failed; the others are left to `stop`.
        """
        self._groups.append(list(parts))
        for part in parts:
            self._parts[part.name] = part
            self._policies[part.name] = restart
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    group.create_task(self._start_one(part))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def wait_for_failure(self) -> None:
        """Wait until a part has failed for good. Errors: StackError, always, with its last lines."""
        raise await asyncio.shield(self._failure)

    def send(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process group of a part; that it has ended is no error."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._parts[name].pid, number)

    async def kill(self, name: str, *, restart: bool = True) -> None:
        """End a part with SIGKILL and wait for its end; `restart=False` suspends its policy."""
        if not restart:
            await self._unwatch(name)
        self.send(name, signal.SIGKILL)
        await self._parts[name].wait()

    async def restart(self, name: str, *, kill: bool = False) -> None:
        """Stop a part, cleanly or by SIGKILL, and start it again; returns when it is ready."""
        await self._unwatch(name)
        if kill:
            await self.kill(name)
        else:
            await self._parts[name].stop()
        await self._start_one(self._parts[name])

    async def stop(self) -> None:
        """Stop all parts in reverse order of their start. Stopping twice is no error."""
        for name in list(self._watches):
            await self._unwatch(name)
        while self._groups:
            await asyncio.gather(*(self._stop_one(part) for part in self._groups.pop()))
        await self.guardian.dismiss()

    async def _start_one(self, part: Part) -> None:
        await part.start()
        self._report(Change(part.name, "ready"))
        self._watches[part.name] = asyncio.create_task(self._watch(part), name=f"watch {part.name}")

    async def _stop_one(self, part: Part) -> None:
        await part.stop()
        self._report(Change(part.name, "stopped"))

    async def _unwatch(self, name: str) -> None:
        watch = self._watches.pop(name, None)
        if watch:
            watch.cancel()
            await asyncio.wait([watch])

    async def _watch(self, part: Part) -> None:
        policy, recent = self._policies[part.name], deque[float]()
        while True:
            code = await part.wait()
            self._report(Change(part.name, "ended", code))
            if code == 0 and policy.restarts_max:
                return
            while not await self._started_again(part, policy, recent):
                if self._failure.done():
                    return

    async def _started_again(self, part: Part, policy: RestartPolicy, recent: deque[float]) -> bool:
        now = asyncio.get_running_loop().time
        while recent and recent[0] < now() - policy.window_seconds:
            recent.popleft()
        if len(recent) >= policy.restarts_max:
            self._fail(StartFailed(f"{part.name} has ended and is not started again", part.log_tail()))
            return False
        await asyncio.sleep(policy.pause_seconds(len(recent)))
        recent.append(now())
        try:
            await part.start()
        except StackError:
            return False
        self._report(Change(part.name, "ready"))
        return True

    def _fail(self, error: StackError) -> None:
        if not self._failure.done():
            self._failure.set_result(error)
