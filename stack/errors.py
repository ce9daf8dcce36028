"""What can go wrong while a stack starts or runs, each with a sentence that says what to do."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot start or go on; the message says why and what would help."""


class AlreadyRunning(StackError):
    """Another process runs on the same data."""


class StartFailed(StackError):
    """A process ended, or stayed silent, before it was ready; `log_tail` holds its last words."""

    def __init__(self, message: str, log_tail: str = "") -> None:
        super().__init__(message)
        self.log_tail = log_tail
        if log_tail:
            self.add_note(log_tail)
