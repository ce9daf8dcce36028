"""What people read for a state: a word, a colour, and whether it is the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from directorybolt.job.v1 import job_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping


class Word(NamedTuple):
    """How a submission's state is shown."""

    text: str
    style: str
    settled: bool


SUBMISSION_WORDS: Final[Mapping[int, Word]] = {
    job_pb2.SUBMISSION_STATE_UNSPECIFIED: Word("planned", "dim", settled=False),
    job_pb2.SUBMISSION_STATE_WAITING: Word("waiting", "dim", settled=False),
    job_pb2.SUBMISSION_STATE_DISPATCHED: Word("dispatched", "cyan", settled=False),
    job_pb2.SUBMISSION_STATE_CLAIMED: Word("filling in", "blue", settled=False),
    job_pb2.SUBMISSION_STATE_PERMITTED: Word("submitting", "bold blue", settled=False),
    job_pb2.SUBMISSION_STATE_RETRYING: Word("will retry", "yellow", settled=False),
    job_pb2.SUBMISSION_STATE_UNCERTAIN: Word("checking", "magenta", settled=False),
    job_pb2.SUBMISSION_STATE_LISTED: Word("listed", "bold green", settled=True),
    job_pb2.SUBMISSION_STATE_PENDING_REVIEW: Word("in review", "green", settled=True),
    job_pb2.SUBMISSION_STATE_PENDING_CONFIRMATION: Word("confirm by e-mail", "green", settled=True),
    job_pb2.SUBMISSION_STATE_ALREADY_LISTED: Word("already listed", "green", settled=True),
    job_pb2.SUBMISSION_STATE_NEEDS_HUMAN: Word("needs a person", "yellow", settled=True),
    job_pb2.SUBMISSION_STATE_REFUSED: Word("refused", "red", settled=True),
    job_pb2.SUBMISSION_STATE_DEAD_LETTERED: Word("dead letter", "bold red", settled=True),
    job_pb2.SUBMISSION_STATE_CANCELLED: Word("cancelled", "dim", settled=True),
}


def word_of(state: int) -> Word:
    """Return how a state is shown; one of a newer release by its number."""
    return SUBMISSION_WORDS.get(state) or Word(f"state {state}", "", settled=False)


def last_part(name: str) -> str:
    """Return the id at the end of a resource name."""
    return name.rpartition("/")[2]
