"""Resource names: `customers/{uuid}/jobs/{uuid}` and their kin, read strictly and written one way.

Source: AIP-122.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from uuid import UUID

from services.domain.errors import FieldViolation, InvalidArgument

_UUID: Final = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_DIRECTORY: Final = re.compile(r"directories/([a-z0-9-]{1,63})")


class Owned(NamedTuple):
    """Something of a customer's."""

    customer_id: UUID
    id: UUID


def customer(customer_id: UUID | str) -> str:
    """Return the name of a customer."""
    return f"customers/{customer_id}"


def api_key(customer_id: UUID | str, key_id: str) -> str:
    """Return the name of an API key."""
    return f"customers/{customer_id}/apiKeys/{key_id}"


def profile(customer_id: UUID | str, profile_id: UUID | str) -> str:
    """Return the name of a profile."""
    return f"customers/{customer_id}/profiles/{profile_id}"


def job(customer_id: UUID | str, job_id: UUID | str) -> str:
    """Return the name of a job."""
    return f"customers/{customer_id}/jobs/{job_id}"


def submission(customer_id: UUID | str, submission_id: UUID | str) -> str:
    """Return the name of a submission."""
    return f"customers/{customer_id}/submissions/{submission_id}"


def proof(customer_id: UUID | str, proof_id: UUID | str) -> str:
    """Return the name of a proof picture."""
    return f"customers/{customer_id}/proofs/{proof_id}"


def erasure_certificate(customer_id: UUID | str) -> str:
    """Return the name of the certificate of a customer's erasure."""
    return f"customers/{customer_id}/erasureCertificate"


def directory(directory_id: str) -> str:
    """Return the name of a directory."""
    return f"directories/{directory_id}"


def read_customer(name: str, field: str) -> UUID:
    """Return the customer of a name.

    Errors: InvalidArgument naming `field`.
    """
    return UUID(_match(name, f"customers/({_UUID})", field, "customers/{uuid}")[1])


def read_erasure_certificate(name: str, field: str) -> UUID:
    """Return the customer of an erasure certificate's name.

    Errors: InvalidArgument naming `field`.
    """
    shape = "customers/{uuid}/erasureCertificate"
    return UUID(_match(name, f"customers/({_UUID})/erasureCertificate", field, shape)[1])


def read_owned(name: str, kind: str, field: str) -> Owned:
    """Return customer and id of a name such as `customers/{uuid}/jobs/{uuid}`, where `jobs` is the kind.

    Errors: InvalidArgument naming `field`.
    """
    found = _match(
        name, f"customers/({_UUID})/{kind}/({_UUID})", field, f"customers/{{uuid}}/{kind}/{{uuid}}"
    )
    return Owned(UUID(found[1]), UUID(found[2]))


def read_api_key(name: str, field: str) -> tuple[UUID, str]:
    """Return customer and key id of a name.

    Errors: InvalidArgument naming `field`.
    """
    shape = "customers/{uuid}/apiKeys/{key}"
    found = _match(name, f"customers/({_UUID})/apiKeys/([A-Za-z0-9-]{{1,64}})", field, shape)
    return UUID(found[1]), found[2]


def read_directory(name: str, field: str) -> str:
    """Return the id of a directory's name.

    Errors: InvalidArgument naming `field`.
    """
    return _match(name, _DIRECTORY.pattern, field, "directories/{id} with 1 to 63 of a-z, 0-9 and dash")[1]


def _match(name: str, pattern: str, field: str, shape: str) -> re.Match[str]:
    found = re.fullmatch(pattern, name)
    if found is None:
        raise InvalidArgument(FieldViolation(field, f"write {shape}, not '{name[:200]}'"))
    return found
