"""The example in the event store's own folder runs, and uses nothing of DirectoryBolt."""

from __future__ import annotations

import ast
import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import psycopg

pytest_plugins = ["tests.fix_postgres"]

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLE: Final = ROOT / "eventstore" / "example.py"


async def test_the_example_runs_and_says_what_it_should(database_url: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "eventstore.example"),
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    lines = output.decode().splitlines()

    assert process.returncode == 0
    assert lines[0].startswith("refused: stream ")
    assert lines[0].endswith("is at version 2, not 1; nothing was written")
    assert lines[1:] == ["['Lisbon', 'Porto']", "1001 events, chain intact"]
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        cursor = await connection.execute("select place, count(*) from whereabouts group by 1 order by 1")
        assert await cursor.fetchall() == [("Lisbon", 999), ("Porto", 1)]


def test_the_example_is_short_and_stands_alone() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported - sys.stdlib_module_names <= {"eventstore", "psycopg"}
    assert len([line for line in text.splitlines() if line.strip()]) <= 60
