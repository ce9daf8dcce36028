"""The benchmarks run and say what they measured; what they measured is nobody's business here."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure, Goal, rows_of, table

ROOT: Final = Path(__file__).resolve().parents[2]


async def measured(*arguments: str) -> Any:
    """Return what `python -m bench` prints as JSON."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench", *arguments, "--json"), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


async def test_the_loss_hunt_finds_nothing_in_our_log() -> None:
    catches = await measured("loss", "--events", "1200", "--writers", "3", "--only", "ours,sequence")

    assert [(each["log"], each["written"]) for each in catches] == [
        ("ours", 1_200),
        ("a table with a sequence", 1_200),
    ]
    assert (catches[0]["missed"], catches[0]["twice"]) == (0, 0)


async def test_the_store_is_measured_section_by_section() -> None:
    result = await measured(
        "eventstore", "--only", "read,verify,import", "--rounds", "1", "--seconds", "0.2", "--events", "2000"
    )

    rows = {row["name"]: row for row in result["rows"]}
    assert {"read", "verify", "import by COPY"} <= rows.keys()
    assert rows["read"]["peer"] > 0
    assert rows["read"]["goal"] == ">= 120000"
    assert all(row["ours"] > 0 for row in rows.values())


async def test_a_section_or_a_benchmark_that_is_not_there_is_refused() -> None:
    for arguments in (("nothing",), ("eventstore", "--only", "nothing")):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench", *arguments), cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await process.communicate()
        assert process.returncode != 0
        assert "there is no" in complaint.decode()


def test_rows_are_medians_held_to_goals_either_way() -> None:
    goals = {"rate": Goal(at_least=10, ratio_at_least=2), "wait": Goal(at_most=5)}
    rounds = [
        [Figure("rate", "1/s", ours, peer), Figure("wait", "ms", ours, more_is_better=False)]
        for ours, peer in ((9.0, 3.0), (12.0, 4.0), (30.0, 20.0))
    ]

    rate, wait = rows_of(rounds, goals)

    assert (rate.ours, rate.lowest, rate.highest, rate.peer, rate.ratio) == (12, 9, 30, 4, 3)
    assert (rate.goal, rate.met) == (">= 10, >= 2 x peer", True)
    assert (wait.goal, wait.met, wait.ratio) == ("<= 5", False, None)
    assert table([rate, wait]).count("NOT MET") == 1
