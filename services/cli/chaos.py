"""A worker is killed in mid-form: by SIGKILL, while it fills the slow site's form in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from directorybolt.job.v1 import job_pb2

from services.cli.words import last_part

if TYPE_CHECKING:
    from directorybolt.intake.v1.jobs_pb2 import WatchJobResponse

    from sandbox.client import SandboxClient
    from stack.mesh import Mesh

_SITE: Final = "slow"
_WAIT_SECONDS: Final = 60.0
_DIRECTORY: Final = f"sandbox-{_SITE}"


class Assassin:
    """Waits for a worker to take the slow site, and for the site to serve its form; then strikes, once."""

    def __init__(self, mesh: Mesh, sandbox: SandboxClient) -> None:
        self._mesh = mesh
        self._sandbox = sandbox
        self._deed: asyncio.Task[str] | None = None

    def see(self, news: WatchJobResponse) -> None:
        """Look at what happened to the job."""
        submission = news.submission
        claimed = submission.state == job_pb2.SUBMISSION_STATE_CLAIMED
        if self._deed is None and claimed and last_part(submission.directory) == _DIRECTORY:
            self._deed = asyncio.create_task(self._strike(last_part(submission.worker)))

    async def _strike(self, worker: str) -> str:
        await self._sandbox.wait(_SITE, "form_served", timeout_seconds=_WAIT_SECONDS)
        await self._mesh.kill(worker, restart=False)
        return worker

    async def done(self) -> str:
        """Return the worker that was killed; empty when none was."""
        return await self._deed if self._deed else ""
