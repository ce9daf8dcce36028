"""Numbered SQL files are applied once, in order, and may not change afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from services.runtime.tables.migrate import RUNTIME_SQL, MigrationChanged, apply
from tests.fix_runtime_tables import bare_url, postgres_cluster

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["bare_url", "postgres_cluster"]


async def _apply(url: str, folder: Path, name: str = "test") -> Sequence[str]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return await apply(connection, folder, name)


def _write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name.removeprefix('n')}.sql").write_text(text)


async def test_files_are_applied_once_in_the_order_of_their_numbers(bare_url: str, tmp_path: Path) -> None:
    _write(tmp_path, n0010_make="create table t (n int)", n0020_fill="insert into t values (1)")
    assert await _apply(bare_url, tmp_path) == ["0010_make.sql", "0020_fill.sql"]
    assert await _apply(bare_url, tmp_path) == []
    _write(tmp_path, n0030_more="insert into t values (2)")
    assert await _apply(bare_url, tmp_path) == ["0030_more.sql"]


async def test_a_changed_file_stops_the_run(bare_url: str, tmp_path: Path) -> None:
    _write(tmp_path, n0001_make="create table t (n int)")
    await _apply(bare_url, tmp_path)
    _write(tmp_path, n0001_make="create table t (n bigint)", n0002_more="create table u (n int)")
    with pytest.raises(MigrationChanged, match=r"0001_make\.sql"):
        await _apply(bare_url, tmp_path)


async def test_a_failing_file_leaves_nothing_behind_and_keeps_those_before(
    bare_url: str, tmp_path: Path
) -> None:
    _write(tmp_path, n0001_good="create table t (n int)", n0002_bad="create table u (n int); select 1/0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await _apply(bare_url, tmp_path)
    _write(tmp_path, n0002_bad="create table u (n int)")
    assert await _apply(bare_url, tmp_path) == ["0002_bad.sql"]


async def test_sets_do_not_share_numbers(bare_url: str, tmp_path: Path) -> None:
    _write(tmp_path, n0001_make="create table t (n int)")
    await _apply(bare_url, tmp_path, "one")
    (tmp_path / "0001_make.sql").write_text("create table u (n int)")
    assert await _apply(bare_url, tmp_path, "two") == ["0001_make.sql"]


async def test_many_processes_may_migrate_at_once(bare_url: str) -> None:
    applied = await asyncio.gather(*(_apply(bare_url, RUNTIME_SQL, "runtime") for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(list(RUNTIME_SQL.glob("*.sql")))]


@pytest.mark.parametrize("names", [("first",), ("0001_a", "0001_b")])
async def test_a_badly_numbered_folder_is_refused(
    bare_url: str, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (tmp_path / f"{name}.sql").write_text("select 1")
    with pytest.raises(ValueError, match=tmp_path.name if len(names) > 1 else "first"):
        await _apply(bare_url, tmp_path)
