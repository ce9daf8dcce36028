"""Every version of every event that was ever written is read for ever, and none goes unrecorded."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from services.domain import events
from tests.histories.record_event import FOLDER, path_of, read_as

if TYPE_CHECKING:
    from pathlib import Path

RECORDED = sorted(FOLDER.glob("*.json"))
WRITTEN = [
    (event_type, version)
    for event_type in events.CLASS_BY_TYPE
    for version in range(1, events.KNOWN.newest(event_type) + 1)
]


def lacking(recorded: Any, read: Any, where: str = "") -> list[str]:
    """Return which members of what was recorded are missing or different now; new members are welcome."""
    if not isinstance(recorded, dict) or not isinstance(read, dict):
        return [] if recorded == read else [where]
    return [
        found
        for name, value in recorded.items()  # pyright: ignore[reportUnknownVariableType]
        for found in lacking(value, read.get(name), f"{where}.{name}")  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
    ]


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_event_reads_as_it_did(path: Path):
    recorded = json.loads(path.read_text(encoding="utf-8"))
    payload = base64.b64decode(recorded["payload"])

    read = read_as(recorded["event_type"], recorded["schema_version"], payload)

    assert path == path_of(recorded["event_type"], recorded["schema_version"])
    assert lacking(recorded["reads_as"], read) == []


def test_every_version_of_every_event_is_recorded():
    missing = [each for each in WRITTEN if not path_of(*each).exists()]
    assert missing == [], "run `python -m tests.histories.record_event`, and commit what it wrote"


def test_no_recorded_event_is_forgotten_by_the_release():
    assert {path.stem for path in RECORDED} <= {f"{event_type}_{version}" for event_type, version in WRITTEN}


def test_every_reader_goes_by_the_schema_version():
    """Only `read` takes type, version and ignorability together from a stored event."""
    services = FOLDER.parents[2] / "services"
    readers = [path for path in services.rglob("*.py") if path.name != "events.py"]
    assert len(readers) > 100
    by_hand = re.compile(r"\bdecode\(\s*\w+\.event_type|\.FromString\(\s*\w+\.payload\)")
    assert [str(path) for path in readers if by_hand.search(path.read_text(encoding="utf-8"))] == []


def test_words_that_were_once_stored_in_clear_are_shown_to_nobody():
    recorded = json.loads(path_of("JobCancelRequested", 1).read_text(encoding="utf-8"))
    payload = base64.b64decode(recorded["payload"])

    read = events.decode("JobCancelRequested", payload, 1)

    assert b"Frau Muster has sold the shop" in payload
    assert b"Frau Muster" not in read.SerializeToString()
