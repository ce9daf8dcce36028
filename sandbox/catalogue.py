"""The nine sites as catalogue entries, and what should come of a submission to each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from directorybolt.directory.v1.directory_pb2 import Directory, DirectoryState, Politeness
from google.protobuf.duration_pb2 import Duration

from sandbox.sites import SITES

if TYPE_CHECKING:
    from sandbox.sites.site import Site

_AUTHORITY_FIRST = 90
_AUTHORITY_STEP = 10
_GAP_NANOSECONDS = 200_000_000
#: What a listing's part is called in a profile.
_PROFILE_FIELDS = {
    "name": "business_name",
    "category": "categories",
    "phone": "phone",
    "email": "email",
    "website": "website",
    "street": "address.street_line1",
    "city": "address.city",
    "region": "address.region",
    "postal_code": "address.postal_code",
    "description": "description",
}


class Expected(NamedTuple):
    """What should come of one business's submission."""

    state: str  #: name of a SubmissionState
    posts: int  #: POSTs that the site has accepted in the end


def catalogue(origin: str) -> list[Directory]:
    """The nine entries, most authoritative first."""
    return [_entry(site, origin.rstrip("/"), place) for place, site in enumerate(SITES)]


def expected() -> dict[str, Expected]:
    """By directory id, in the order of the catalogue."""
    return {_directory_id(site): Expected(site.outcome, site.count) for site in SITES}


def _directory_id(site: type[Site]) -> str:
    return f"sandbox-{site.look.slug}"


def _entry(site: type[Site], origin: str, place: int) -> Directory:
    home = f"{origin}/{site.look.slug}"
    return Directory(
        name=f"directories/{_directory_id(site)}",
        display_name=site.look.brand,
        website=f"{home}/",
        submission_url=f"{home}/add",
        search_url=f"{home}/search?q={{query}}",
        category="general",
        state=DirectoryState.DIRECTORY_STATE_SUBMITTABLE,
        politeness=Politeness(attempts_at_once_max=1, gap_min=Duration(nanos=_GAP_NANOSECONDS)),
        required_fields=[_PROFILE_FIELDS[meaning] for meaning in site.form.required_meanings()],
        authority=_AUTHORITY_FIRST - _AUTHORITY_STEP * place,
    )
