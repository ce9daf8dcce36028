"""Histories that were recorded once replay to the same state for ever."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.histories.replayed import replayed

HISTORIES = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_recorded_history_replays_to_the_state_that_it_had(path: Path) -> None:
    history = json.loads(path.read_text(encoding="utf-8"))

    state = replayed(history["aggregate"], history["events"])

    # A member that was added to the state since then was not recorded.
    assert {member: state[member] for member in history["state"]} == history["state"]


def test_every_way_through_the_states_has_been_recorded() -> None:
    recorded = {path.stem.partition("_")[2] for path in HISTORIES}

    assert recorded >= {"listed", "retried", "rescued", "verified", "cancelled", "needs_a_person"}
