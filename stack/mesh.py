"""The whole mesh on one machine: database, queue, sandbox sites and the services as processes.

Order: database, queue and sandbox side by side; migrations; the services side by side, each behind its
health gate. What the environment names already (DATABASE_URL, DIRECTORYBOLT_SQS=aws) is not started.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from stack import environment
from stack.parts import Gated, run_once
from stack.ports import choose_ports
from stack.postgres import EmbeddedPostgres
from stack.probes import said, serving, value_said
from stack.process import Command
from stack.queue_server import QueueServer
from stack.state import StateDirectory
from stack.supervisor import ON_FAILURE, Change, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from stack.environment import Replica
    from stack.parts import Part

DATABASE = "directorybolt"
MIGRATIONS = ("eventstore", "services.projections")
#: Longer than a service's own drain.
SERVICE_GRACE_SECONDS = 25.0


def _ignore(_: Change) -> None:
    """Take a change and say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshOptions:
    """What the mesh is asked to be."""

    #: One run's directory, usually `.bolt/<run>`; its data is kept.
    state_directory: Path
    #: Worker processes.
    submitters: int = 2
    #: Whether the sandbox sites are started.
    sandbox: bool = True
    #: Whether the others append through a gateway.
    gateway: bool = False
    #: Further variables for every process; they win over the inherited ones.
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Further variables for one process, by its name ("intake", "submitter-1").
    environment_of: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, "Mapping[str, str]"])
    #: Called when a part is ready, has ended or was stopped.
    report: Callable[[Change], None] = _ignore


class Mesh:
    """A running stack; leave the `async with` and all of it is gone.

    Errors on entry: AlreadyRunning, StartFailed with the last lines of who failed.
    """

    def __init__(self, options: MeshOptions) -> None:
        self._options = options
        self._state = StateDirectory(options.state_directory)
        self._exits = AsyncExitStack()
        self._supervisor: Supervisor | None = None
        self._postgres: EmbeddedPostgres | None = None
        self._queue: QueueServer | None = None
        self._replicas: list[Replica] = []
        #: Origin of the sandbox sites, "http://127.0.0.1:port"; None without a sandbox.
        self.sandbox_origin: str | None = None

    async def __aenter__(self) -> Self:
        """Start everything; SIGTERM and SIGHUP then cancel the task that entered."""
        try:
            await self._state.claim()
            self._exits.callback(self._state.release)
            self._cancel_on_signals()
            self._supervisor = await self._exits.enter_async_context(Supervisor(self._options.report))
            await self._start_ground()
            await self._migrate()
            await self._start_services()
            self._state.note(self._facts())
        except BaseException:
            await self._exits.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything in reverse order."""
        await self._exits.aclose()

    @property
    def state_dir(self) -> Path:
        """The run's directory."""
        return self._state.path

    @property
    def addresses(self) -> dict[str, str]:
        """Address (host:port) of each process by its name, and of each service by its first process."""
        return {name: each.address for each in reversed(self._replicas) for name in (each.service, each.name)}

    @property
    def health_addresses(self) -> dict[str, str]:
        """Address of each process's plaintext health service."""
        return {each.name: each.health_address for each in self._replicas}

    @property
    def processes(self) -> Mapping[str, Part]:
        """All running parts by name, in the order of their start."""
        return self._running().parts

    @property
    def secrets(self) -> dict[str, Path]:
        """File of each generated key: staff_key, service_key, token_key, master_key."""
        return environment.key_files(self._state)

    @property
    def database_url(self) -> str:
        """The event store's database: DATABASE_URL, or the embedded one's."""
        return self._postgres.conninfo(DATABASE) if self._postgres else os.environ["DATABASE_URL"]

    @property
    def queue_environment(self) -> Mapping[str, str]:
        """Variables with which an AWS SDK finds the queues; none when the real AWS serves them."""
        return self._queue.environment() if self._queue else {}

    async def kill(self, name: str, *, restart: bool = True) -> None:
        """End a process with SIGKILL; its restart policy brings it back unless `restart` is False."""
        await self._running().kill(name, restart=restart)

    def freeze(self, name: str) -> None:
        """Stop a process's clock with SIGSTOP: it neither works nor ends."""
        self._running().send(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """Let a frozen process go on."""
        self._running().send(name, signal.SIGCONT)

    async def restart(self, name: str, *, kill: bool = False) -> None:
        """Stop a process, cleanly or by SIGKILL, and start it again at the same address."""
        await self._running().restart(name, kill=kill)

    async def restart_postgres(self, *, kill: bool = True) -> None:
        """Crash Postgres (or stop it cleanly) and start it again at the same address."""
        await self.restart("postgres", kill=kill)

    async def wait_for_failure(self) -> None:
        """Wait until a process has failed for good. Errors: StackError, always, with its last lines."""
        await self._running().wait_for_failure()

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise RuntimeError("the mesh was never started")
        return self._supervisor

    def _cancel_on_signals(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is None:
            return
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, task.cancel)
            self._exits.callback(loop.remove_signal_handler, number)

    async def _start_ground(self) -> None:
        """Start what the services stand on."""
        guardian = self._running().guardian
        parts: list[Part] = []
        if not os.environ.get("DATABASE_URL"):
            self._postgres = EmbeddedPostgres(
                self.state_dir / "postgres", log_path=self._state.log("postgres"), guardian=guardian
            )
            parts.append(self._postgres)
        if os.environ.get("DIRECTORYBOLT_SQS") != "aws":
            scratch = self._state.directory("queue")
            self._queue = QueueServer(log_path=self._state.log("queue"), scratch=scratch, guardian=guardian)
            parts.append(self._queue)
        sandbox = self._sandbox() if self._options.sandbox else None
        await self._running().start(*parts, *([sandbox] if sandbox else []))
        if sandbox:
            self.sandbox_origin = value_said(sandbox.output(), "origin")
        if self._postgres:
            await self._postgres.ensure_database(DATABASE)

    def _sandbox(self) -> Gated:
        storage = str(self._state.directory("sandbox"))
        # The catalogue of the last run names the sites by their origin.
        port = str(*self._ports("sandbox-port", 1))
        command = self._python("sandbox", "sandbox", "--data", storage, "--port", port)
        return Gated(command, said("origin"), self._running().guardian)

    async def _migrate(self) -> None:
        """Bring the database up to date, one step after the other."""
        for package in MIGRATIONS:
            await run_once(self._python(f"migrate-{package}", package, "migrate"), self._running().guardian)

    async def _start_services(self) -> None:
        names = environment.replica_names(self._options.submitters, gateway=self._options.gateway)
        ports = iter(self._ports("ports", 2 * len(names)))
        self._replicas = [
            environment.Replica(name, service, next(ports), next(ports)) for name, service in names
        ]
        gates = [
            Gated(self._service(replica), serving(replica.health_address), self._running().guardian)
            for replica in self._replicas
        ]
        # What the others append through is there before them; without it they would begin without it.
        ahead = [each for each in gates if each.name == "gateway"]
        for wave in (ahead, [each for each in gates if each not in ahead]):
            await self._running().start(*wave, restart=ON_FAILURE)

    def _ports(self, memory_name: str, count: int) -> tuple[int, ...]:
        """Return the ports of the last run, so that an address book stays right, or new ones."""
        memory = self.state_dir / memory_name
        last = tuple(map(int, memory.read_text(encoding="ascii").split())) if memory.exists() else ()
        chosen = choose_ports(count, preferred=last)
        memory.write_text(" ".join(map(str, chosen)), encoding="ascii")
        return chosen

    def _service(self, replica: Replica) -> Command:
        return self._python(replica.name, f"services.{replica.service}", **replica.environment())

    def _python(self, name: str, module: str, *arguments: str, **own: str) -> Command:
        return Command(
            name=name,
            argv=(sys.executable, "-P", "-m", module, *arguments),
            log_path=self._state.log(name),
            environment={**self._told(), **own, **self._options.environment_of.get(name, {})},
            grace_seconds=SERVICE_GRACE_SECONDS,
        )

    def _told(self) -> dict[str, str]:
        evidence = self._state.directory("evidence")
        return {
            **environment.inherited(),
            **environment.shared(self._database_url(), self.queue_environment, evidence, self.sandbox_origin),
            **environment.service_addresses(self._replicas),
            **environment.key_variables(self.secrets),
            **self._options.environment,
        }

    def _database_url(self) -> str:
        """Return the database's URL, empty while it starts."""
        if self._postgres and not self._postgres.started:
            return ""
        return self.database_url

    def _facts(self) -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "addresses": self.addresses,
            "health_addresses": self.health_addresses,
            "sandbox_origin": self.sandbox_origin,
            "staff_key_file": str(self.secrets["staff_key"]),
            "logs": str(self._state.directory("logs")),
        }
