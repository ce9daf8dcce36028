"""Entries of the catalogue: what is wrong with one is said field by field."""

from __future__ import annotations

import pytest
from directorybolt.directory.v1 import directory_pb2
from google.protobuf.duration_pb2 import Duration

from services.intake.check_directory import normalised, violations_of


def entry(**fields: object) -> directory_pb2.Directory:
    """Return an entry that is fine but for these fields."""
    fine: dict[str, object] = {
        "name": "directories/yellow-pages",
        "display_name": "Yellow Pages",
        "website": "https://yellow.example",
        "submission_url": "https://yellow.example/add",
        "search_url": "https://yellow.example/find?q={query}",
        "state": directory_pb2.DIRECTORY_STATE_SUBMITTABLE,
        "required_fields": ["phone", "address.city"],
        "country_codes": ["CH"],
        "authority": 100,
    }
    return directory_pb2.Directory(**{**fine, **fields})  # pyright: ignore[reportArgumentType]


def test_an_entry_within_its_limits_is_fine():
    assert not list(violations_of(entry(), ""))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "yellow-pages"}, "name"),
        ({"name": "directories/Yellow"}, "name"),
        ({"display_name": ""}, "display_name"),
        ({"display_name": "<b></b>"}, "display_name"),
        ({"display_name": "x" * 201}, "display_name"),
        ({"category": "x" * 101}, "category"),
        ({"website": "javascript:alert(1)"}, "website"),
        ({"submission_url": ""}, "submission_url"),
        ({"submission_url": "https://yellow.example/" + "x" * 2048}, "submission_url"),
        ({"search_url": "https://yellow.example/find"}, "search_url"),
        ({"search_url": "{query}"}, "search_url"),
        (
            {"politeness": directory_pb2.Politeness(attempts_at_once_max=101)},
            "politeness.attempts_at_once_max",
        ),
        (
            {"politeness": directory_pb2.Politeness(attempts_at_once_max=-1)},
            "politeness.attempts_at_once_max",
        ),
        ({"politeness": directory_pb2.Politeness(gap_min=Duration(seconds=-1))}, "politeness.gap_min"),
        ({"politeness": directory_pb2.Politeness(gap_min=Duration(seconds=86_401))}, "politeness.gap_min"),
        ({"state": 0}, "state"),
        ({"state": 99}, "state"),
        ({"authority": 101}, "authority"),
        ({"authority": -1}, "authority"),
        ({"country_codes": ["ch"]}, "country_codes[0]"),
        ({"required_fields": ["telephone"]}, "required_fields[0]"),
    ],
)
def test_an_entry_beyond_a_limit_is_refused_by_the_name_of_the_field(fields: dict[str, object], field: str):
    found = [each.field for each in violations_of(entry(**fields), "directories[7].")]
    assert found == [f"directories[7].{field}"]


def test_an_entry_that_cannot_be_submitted_to_needs_no_form():
    assert not list(violations_of(entry(submission_url="", state=directory_pb2.DIRECTORY_STATE_PAID), ""))


def test_an_entry_is_stored_clean_and_without_its_etag():
    stored = normalised(entry(display_name=" Yellow <i>Pages</i> ", etag='"4"'))
    assert (stored.display_name, stored.etag, stored.category) == ("Yellow Pages", "", "general")
