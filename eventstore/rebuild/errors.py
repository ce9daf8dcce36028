"""What can go wrong when a read model is built again.

RebuildError
├── CannotRebuild      the read model, or what is in the database, does not allow it
├── RebuildUnderWay    another process builds or swaps this read model now
├── NothingRebuilt     there is no rebuilt, or no retired, read model to work with
├── NotComparable      live and rebuilt did not come to the same position in time
├── PositionUnknown    the log has no such position, or no longer
├── RoleLeft           the projection left the role that it was run in; nothing of the page was saved
└── SwapTimedOut       readers held the tables all the time; nothing was changed
"""

from __future__ import annotations

from eventstore.errors import EventStoreError


class RebuildError(EventStoreError):
    """A read model could not be built again."""


class CannotRebuild(RebuildError):
    """This read model cannot be built beside itself."""


class RebuildUnderWay(RebuildError):
    """Another process is at work on this read model; it goes on, and this one did nothing."""


class NothingRebuilt(RebuildError):
    """There is nothing built beside this read model."""


class NotComparable(RebuildError):
    """The live read model and the rebuilt one did not come to the same position in time."""


class PositionUnknown(RebuildError):
    """The log has no such position, or no longer."""


class RoleLeft(RebuildError):
    """The projection left the role that it was run in; nothing of the page was saved."""


class SwapTimedOut(RebuildError):
    """Readers held the tables all the time; nothing was changed, try again when it is quieter."""
