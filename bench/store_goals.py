"""What the store is held to, by the figures' names; on a quiet machine with two cores, fsync on."""

from __future__ import annotations

from typing import Final

from bench.figures import Goal

GOALS: Final = {
    "lone append / bare fsynced insert": Goal(at_most=1.2),
    "append, 16 callers": Goal(at_least=5_000, ratio_at_least=15),
    "append, 64 callers": Goal(at_least=10_000),
    "append, 64 callers, p99": Goal(at_most=20),
    "append, 64 callers x 10 events": Goal(at_least=30_000),
    "append, 64 callers, CPU of the database": Goal(at_most=50),
    "append, 64 callers, syncs": Goal(at_most=0.02),
    "append, 16 processes x 1": Goal(ratio_at_least=1),
    "import by COPY": Goal(at_least=60_000),
    "read": Goal(at_least=120_000),
    "projection, checkpoint in its transaction": Goal(at_least=30_000),
    "rebuild": Goal(at_least=50_000),
    "verify": Goal(at_least=60_000),
    "append to subscriber, p50": Goal(at_most=10),
    "append to subscriber, p99": Goal(at_most=50),
}
