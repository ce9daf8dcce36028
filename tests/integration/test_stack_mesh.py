"""The whole mesh, as `./bolt up` starts it: real services in their own processes, on real parts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stack.errors import AlreadyRunning, StartFailed
from stack.mesh import Mesh, MeshOptions
from stack.postgres import EmbeddedPostgres
from stack.probes import is_serving
from stack.queue_server import QueueServer
from stack.state import StateDirectory
from tests.fix_processes import Seen, all_gone, descendants, look, needs_proc

if TYPE_CHECKING:
    from stack.supervisor import Change

SERVICES = ["intake", "scheduler", "submitter-1", "monitor"]


class Ready:
    """Counts how often a part has become ready, and lets a test wait for it."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._news = asyncio.Event()

    def __call__(self, change: Change) -> None:
        """Take a report."""
        if change.kind == "ready":
            self.names.append(change.name)
            self._news.set()

    async def times(self, name: str, count: int) -> None:
        """Wait until a part has become ready `count` times."""
        async with asyncio.timeout(60):
            while self.names.count(name) < count:
                self._news.clear()
                await self._news.wait()


@pytest.fixture
def place(tmp_path: Path):
    yield tmp_path
    # What lies elsewhere on its behalf, as root, goes with the next start's sweep.
    shutil.rmtree(tmp_path)


@pytest.fixture
def without_given_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.delenv("DIRECTORYBOLT_SQS", raising=False)


pytestmark = pytest.mark.usefixtures("without_given_database")


@needs_proc
async def test_the_mesh_starts_in_order_serves_heals_and_leaves_nothing(place: Path):
    ready = Ready()
    of_other_tests = descendants(os.getpid())
    options = MeshOptions(state_directory=place / "up", submitters=1, report=ready)
    async with Mesh(options) as mesh:
        assert set(ready.names[:3]) == {"postgres", "queue", "sandbox"}
        assert sorted(ready.names[3:]) == sorted(SERVICES)
        assert [await is_serving(each) for each in mesh.health_addresses.values()] == [True] * 4
        assert mesh.addresses["submitter"] == mesh.addresses["submitter-1"]
        assert StateDirectory(place / "up").noted()["addresses"] == mesh.addresses
        with pytest.raises(AlreadyRunning, match="a stack already runs on"):
            await Mesh(options).__aenter__()
        worker = mesh.processes["submitter-1"].pid
        await mesh.kill("submitter-1")
        await ready.times("submitter-1", 2)
        assert mesh.processes["submitter-1"].pid != worker
        await mesh.restart_postgres()
        await until_all_serve(mesh)
        family = [seen for seen in descendants(os.getpid()) if not among(of_other_tests, seen)]
        ports = mesh.addresses
    assert await all_gone(family) == []
    assert StateDirectory(place / "up").noted() == {}
    async with Mesh(options) as again:
        assert again.addresses == ports


def among(family: list[Seen], seen: Seen) -> bool:
    """Tell whether this very process belongs to a family."""
    return (seen.pid, seen.started) in {(each.pid, each.started) for each in family}


async def until_all_serve(mesh: Mesh) -> None:
    """Wait until every service's health says so."""
    silent = set(mesh.health_addresses.values())
    async with asyncio.timeout(60):
        while silent:
            silent = {address for address in silent if not await is_serving(address)}


async def test_two_meshes_side_by_side_do_not_disturb_each_other(place: Path):
    one = MeshOptions(state_directory=place / "one", submitters=1)
    two = MeshOptions(state_directory=place / "two", submitters=1)
    async with Mesh(one) as first, Mesh(two) as second:
        assert first.database_url != second.database_url
        assert first.queue_environment != second.queue_environment
        assert first.sandbox_origin != second.sandbox_origin
        assert not set(first.addresses.values()) & set(second.addresses.values())
        staff_keys = {mesh.secrets["staff_key"].read_text() for mesh in (first, second)}
        assert len(staff_keys) == 2
        await second.kill("intake", restart=False)
        await until_all_serve(first)


async def test_a_database_and_queues_that_the_environment_names_are_used_and_not_started(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    queue = QueueServer(log_path=place / "queue.log", scratch=place / "queue")
    async with EmbeddedPostgres.throwaway() as postgres:
        await queue.start()
        monkeypatch.setenv("DATABASE_URL", await postgres.create_database("given"))
        monkeypatch.setenv("DIRECTORYBOLT_SQS", "aws")
        for name, value in queue.environment().items():
            monkeypatch.setenv(name, value)
        async with Mesh(MeshOptions(state_directory=place / "up", submitters=1)) as mesh:
            assert list(mesh.processes) == ["sandbox", *SERVICES]
            assert mesh.database_url == postgres.conninfo("given")
            assert mesh.queue_environment == {}
        await queue.stop()


async def test_a_service_that_cannot_start_is_named_with_its_last_words(place: Path):
    options = MeshOptions(
        state_directory=place / "up",
        environment_of={"scheduler": {"DIRECTORYBOLT_RATE_LIMIT_PER_MINUTE": "many"}},
    )
    with pytest.raises(StartFailed, match="scheduler ended with exit code") as failed:
        await Mesh(options).__aenter__()
    assert "DIRECTORYBOLT_RATE_LIMIT_PER_MINUTE" in failed.value.log_tail
    assert StateDirectory(place / "up").owner() is None


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_however_the_command_ends_nothing_of_the_mesh_is_left(place: Path, number: signal.Signals):
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        "up",
        cwd=Path(__file__).parents[2],
        env={**os.environ, "DIRECTORYBOLT_STATE_ROOT": str(place)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert program.stdout is not None
    lines: list[bytes] = []
    while b"is up" not in (line := await program.stdout.readline()):
        lines.append(line)
        assert line, b"".join(lines).decode()
    family = descendants(program.pid)
    assert {"postgres"} < {seen.program for seen in family}
    program.send_signal(number)
    await program.communicate()
    assert await all_gone(family) == []
    assert look(program.pid) is None
