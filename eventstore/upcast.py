"""Which events a program knows, and how it reads the old versions of them: by pure steps, one version each.

What is stored never changes. When a payload's meaning changes, its schema version goes up by one, and a step
is added that makes the new payload of the old one; a reader walks the steps from the version that it finds
to the newest. Steps are functions of bytes: the same history reads the same for ever, on any machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.errors import UnknownEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import TypeAlias

    #: Takes a payload of one version and returns the payload of the next; draws on nothing else.
    Step: TypeAlias = Callable[[bytes], bytes]

FIRST_VERSION: Final = 1


class Upcasters:
    """The event types of one program, with the steps from each old version to the next."""

    def __init__(self, event_types: Collection[str], steps: Mapping[tuple[str, int], Step]) -> None:
        """Take the types, and steps by (event type, version that it takes).

        Errors: ValueError when a step is of no type, or a version between the first and the newest has none.
        """
        self._chains: dict[str, list[Step]] = {each: [] for each in event_types}
        for event_type, version in sorted(steps):
            chain = self._chains.get(event_type)
            if chain is None:
                raise ValueError(f"there is a step for {event_type}, which is no event type")
            if version != FIRST_VERSION + len(chain):
                missing = FIRST_VERSION + len(chain)
                raise ValueError(f"{event_type} has a step from version {version}, none from {missing}")
            chain.append(steps[event_type, version])
        self._newest = {name: FIRST_VERSION + len(chain) for name, chain in self._chains.items()}

    def newest(self, event_type: str) -> int:
        """Return the version that is written, and that `upcast` returns.

        Errors: KeyError when there is no such type.
        """
        return self._newest[event_type]

    def knows(self, event_type: str, schema_version: int) -> bool:
        """Tell whether an event of this type and version can be read."""
        return schema_version <= self._newest.get(event_type, 0)

    def upcast(self, event_type: str, schema_version: int, payload: bytes) -> bytes:
        """Return a stored payload as the newest version has it.

        Errors: UnknownEvent when the type is not known, or the version is newer than the newest.
        """
        newest = self._newest.get(event_type, 0)
        if schema_version == newest:
            return payload
        if schema_version > newest:
            raise UnknownEvent(event_type, schema_version)
        for step in self._chains[event_type][schema_version - FIRST_VERSION :]:
            payload = step(payload)
        return payload
