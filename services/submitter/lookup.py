"""What an attempt needs to know: the directory's entry and the opened profile, from their streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import UUID

from directorybolt.event.v1 import system_events_pb2
from directorybolt.profile.v1.profile_pb2 import BusinessProfile

from services.domain import events, identity
from services.domain.errors import DirectoryNotFound, ProfileNotFound

if TYPE_CHECKING:
    from directorybolt.directory.v1.directory_pb2 import Directory
    from directorybolt.event.v1 import profile_events_pb2

    from eventstore.privacy.vault import Vault
    from services.domain.submission import Submission
    from services.runtime.ledger import Ledger


class Lookup:
    """Reads directories and profiles."""

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger = ledger
        self._vault = vault

    async def directory(self, directory_id: str) -> Directory:
        """Return a directory's newest entry.

        Errors: DirectoryNotFound.
        """
        history = await self._ledger.history(identity.directory_stream(directory_id))
        for stored in reversed(history):
            fact = events.read(stored)
            if isinstance(fact, system_events_pb2.DirectoryCatalogued):
                return fact.directory
        raise DirectoryNotFound(directory=directory_id)

    async def profile(self, state: Submission) -> BusinessProfile:
        """Return the profile in the version that the submission was asked for.

        Errors: ProfileNotFound; KeyDestroyed when the customer was erased.
        """
        profile_id = UUID(state.profile_id)
        found = await self._ledger.store.read_stream(profile_id, from_version=state.profile_version, limit=1)
        if not found:
            raise ProfileNotFound(profile=state.profile_id)
        fact = cast("profile_events_pb2.ProfileRevised", events.read(found[0]))
        sealed = fact.profile
        plaintext = await self._vault.open(
            UUID(sealed.key_id), UUID(state.customer_id), profile_id.bytes, sealed.ciphertext
        )
        return BusinessProfile.FromString(plaintext)
