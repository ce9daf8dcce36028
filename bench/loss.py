"""Hunts for events that a live reader never sees: ours, the peer in both of its modes, and a plain sequence.

    python bench/loss.py [--quick] [--json] [--events N] [--writers N] [--only ours,peer]

Writers are processes of their own. A trigger, the same for all, has one transaction in fifty sleep for a few
milliseconds between its insert and its commit. A reader follows the log from position to position and never
looks back, as every subscriber does. When the writers are done, what it saw is compared with what stands in
the table.
"""

# ruff: noqa: E402
# Python puts this folder first on its path, where `eventstore` would be the benchmark, not the package.
from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path[0] = str(Path(__file__).resolve().parents[1])

import psycopg
from psycopg import sql

from bench.loss_sides import LOGS
from stack.postgres import EmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.loss_sides import Log

PROGRAM: Final = Path(__file__).with_name("loss_sides.py")
#: Sleeps up to this long before one commit in fifty: long enough for others to overtake.
DELAY_MS_MAX: Final = 5
DELAY: Final = """
create schema if not exists hunt;
create function hunt.delay() returns trigger language plpgsql as $$
begin
  if random() < 0.02 then perform pg_sleep(random() * {milliseconds} / 1000.0); end if;
  return null;
end $$;
"""


@dataclass(frozen=True, slots=True)
class Catch:
    """What came of hunting in one log."""

    log: str
    written: int
    missed: int
    twice: int
    seconds: float


async def main() -> int:
    """Hunt, print, and return the exit code: 1 when ours lost anything."""
    arguments = _arguments()
    events = 20_000 if arguments.quick else arguments.events
    wanted = [each for each in arguments.only.split(",") if each] or [each.name for each in LOGS]
    catches = [await _hunt(each, events, arguments.writers) for each in LOGS if each.name in wanted]
    if arguments.json:
        sys.stdout.write(json.dumps([asdict(each) for each in catches]) + "\n")
    else:
        print(_table(catches))
    return 1 if any(each.missed or each.twice for each in catches if each.log == "ours") else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Hunts for events that a live reader never sees.")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quick", action="store_true", help="20,000 events in each log")
    parser.add_argument("--events", type=int, default=300_000, help="in each log (default: 300000)")
    parser.add_argument("--writers", type=int, default=8, help="writing processes (default: 8)")
    parser.add_argument("--only", default="", help=f"some of {', '.join(each.name for each in LOGS)}")
    return parser.parse_args()


async def _hunt(log: Log, events: int, writers: int) -> Catch:
    """Write and read at the same time, on a cluster of the hunt's own; then compare."""
    async with EmbeddedPostgres.throwaway(settings={"fsync": "off"}) as postgres:
        url = await postgres.create_database("hunted")
        await log.prepare(url)
        await _delay_commits(url, log.table)
        began = time.perf_counter()
        children = [
            await asyncio.create_subprocess_exec(
                sys.executable, PROGRAM, log.name, url, str(events // writers)
            )
            for _ in range(writers)
        ]
        done = asyncio.gather(*(each.wait() for each in children))
        seen = await log.follow(url, done)
        if any(done.result()):
            raise RuntimeError("a writer failed; its error stands above")
        written = await _written(url, log)
        took = time.perf_counter() - began
    return Catch(
        log.title, len(written), len(written - set(seen)), len(seen) - len(set(seen)), round(took, 1)
    )


async def _delay_commits(url: str, table: str) -> None:
    """Have some commits wait: a row's transaction sleeps after the row was written."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(DELAY.format(milliseconds=DELAY_MS_MAX).encode())
        await connection.execute(
            f"create trigger delay after insert on {table} for each statement"
            " execute function hunt.delay()".encode()
        )


async def _written(url: str, log: Log) -> set[int]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            sql.SQL("select {} from {}").format(
                sql.Identifier(log.column), sql.Identifier(*log.table.split("."))
            )
        )
        return {row[0] for row in await cursor.fetchall()}


def _table(catches: Sequence[Catch]) -> str:
    lines = [f"{'log':44}{'written':>10}{'missed':>9}{'twice':>7}{'share':>9}{'seconds':>9}"]
    for each in catches:
        share = each.missed / max(1, each.written)
        lines.append(
            f"{each.log:44}{each.written:>10}{each.missed:>9}{each.twice:>7}{share:>9.3%}{each.seconds:>9}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
