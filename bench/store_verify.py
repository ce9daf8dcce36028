"""Recomputing the chain of a whole log."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from bench.eventstore_sides import OURS
from bench.figures import Figure
from eventstore.audit.verify_log import verify_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.store_bench import Bench


async def verify(bench: Bench) -> Sequence[Figure]:
    """Measure it in one process, and in as many as there are cores; the peer has no chain."""
    url = await bench.filled(OURS)
    return [
        Figure("verify", "events/s", await _verified(url, 0)),
        Figure(f"verify, {os.cpu_count()} processes", "events/s", await _verified(url, os.cpu_count() or 1)),
    ]


async def _verified(url: str, workers: int) -> float:
    began = time.perf_counter()
    verdict = await verify_log(url, workers=workers)
    if verdict.findings:
        raise RuntimeError(f"the log of the benchmark is damaged: {verdict.findings[0]}")
    return verdict.events_count / (time.perf_counter() - began)
