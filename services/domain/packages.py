"""What each package buys: how many directories, and which queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from directorybolt.job.v1 import job_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.domain.kinds import Package, Priority


@dataclass(frozen=True, slots=True)
class PackageTerms:
    """How many directories a package covers, and the priority of its work."""

    directories_max: int
    priority: Priority


TERMS: Final[Mapping[Package, PackageTerms]] = {
    job_pb2.PACKAGE_STARTER: PackageTerms(50, job_pb2.PRIORITY_P3),
    job_pb2.PACKAGE_GROWTH: PackageTerms(100, job_pb2.PRIORITY_P2),
    job_pb2.PACKAGE_PROFESSIONAL: PackageTerms(300, job_pb2.PRIORITY_P1),
    job_pb2.PACKAGE_ENTERPRISE: PackageTerms(500, job_pb2.PRIORITY_P1),
}
