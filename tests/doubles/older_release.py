"""The intake process of a release that lacks the event types named in LACKING, separated by commas."""

from __future__ import annotations

import os

from eventstore.upcast import Upcasters
from services.domain import events, upcasters
from services.intake.__main__ import NAME, assemble
from services.runtime import projecting
from services.runtime.process import run_process

RELEASE = "0.0.0-older"


def _release(_distribution: str) -> str:
    return RELEASE


def become_older(lacking: set[str]) -> None:
    """Forget some event types, and say that this is another release."""
    known = events.CLASS_BY_TYPE.keys() - lacking
    steps = {key: step for key, step in upcasters.STEPS.items() if key[0] in known}
    setattr(events, "KNOWN", Upcasters(known, steps))  # noqa: B010  # it is final for everybody else
    setattr(projecting, "version", _release)  # noqa: B010  # same


if __name__ == "__main__":
    become_older(set(os.environ["LACKING"].split(",")))
    run_process(NAME, assemble)
