"""Resource names are read strictly and written one way."""

from __future__ import annotations

from uuid import UUID

import pytest

from services.domain.errors import InvalidArgument
from services.intake import names
from services.runtime import arguments

CUSTOMER = UUID("0190a000-0000-7000-8000-00000000000a")
JOB = UUID("0190a000-0000-7000-8000-00000000000b")


def test_what_is_written_is_read_back():
    assert names.read_owned(names.job(CUSTOMER, JOB), "jobs", "name") == (CUSTOMER, JOB)
    assert names.read_customer(names.customer(CUSTOMER), "parent") == CUSTOMER
    assert names.read_directory(names.directory("yellow-pages"), "name") == "yellow-pages"
    assert names.read_api_key(names.api_key(CUSTOMER, "AbC12345"), "name") == (CUSTOMER, "AbC12345")


def test_capital_letters_in_a_uuid_name_the_same_thing():
    assert names.read_customer(f"customers/{str(CUSTOMER).upper()}", "name") == CUSTOMER


@pytest.mark.parametrize(
    "name",
    [
        "",
        "customers",
        f"customers/{CUSTOMER}",
        f"customers/{CUSTOMER}/jobs/",
        f"customers/{CUSTOMER}/jobs/{JOB}/",
        f"customers/{CUSTOMER}/jobs/{JOB}\n",
        f"customers/{CUSTOMER}/profiles/{JOB}",
        f"customers/{CUSTOMER.hex}/jobs/{JOB.hex}",
        f"customers/{{{CUSTOMER}}}/jobs/{JOB}",
    ],
)
def test_a_name_of_another_shape_is_refused_with_the_right_one(name: str):
    with pytest.raises(InvalidArgument, match=r"customers/\{uuid\}/jobs/\{uuid\}") as refused:
        names.read_owned(name, "jobs", "name")
    assert refused.value.violations[0].field == "name"


@pytest.mark.parametrize(
    "name", ["directories/", "directories/Caps", "directories/a_b", "directories/" + "a" * 64]
)
def test_a_directory_of_another_shape_is_refused(name: str):
    with pytest.raises(InvalidArgument):
        names.read_directory(name, "name")


@pytest.mark.parametrize("text", ["", "42", "not-a-uuid", CUSTOMER.hex, f"{CUSTOMER} "])
def test_a_request_id_is_a_uuid(text: str):
    with pytest.raises(InvalidArgument):
        arguments.request_id(text)


@pytest.mark.parametrize(("asked", "given"), [(0, 100), (1, 1), (500, 500), (501, 500)])
def test_a_page_size_has_a_default_and_a_most(asked: int, given: int):
    assert arguments.page_size(asked, default=100, most=500) == given


def test_a_negative_page_size_is_refused():
    with pytest.raises(InvalidArgument):
        arguments.page_size(-1, default=100, most=500)
