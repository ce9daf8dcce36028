"""The catalogue: put in, shown, listed page by page, through a real gRPC server on a real Postgres."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
from directorybolt.intake.v1 import customers_pb2 as m

from tests.fix_intake import an_entry, intake, postgres_cluster, services_template

if TYPE_CHECKING:
    from directorybolt.directory.v1 import directory_pb2

    from tests.fix_intake import Caller, Intake

__all__ = ["intake", "postgres_cluster", "services_template"]

CODE = grpc.StatusCode


def importing(*entries: directory_pb2.Directory) -> m.ImportDirectoriesRequest:
    """Return the request that puts entries in."""
    return m.ImportDirectoriesRequest(directories=entries)


async def put(caller: Caller, *entries: directory_pb2.Directory) -> tuple[int, int]:
    """Put entries in and return how many were changed and left alone."""
    done = await caller.ask("ImportDirectories", importing(*entries))
    return done.changed_count, done.unchanged_count


async def listed(intake: Intake, page_size: int = 0) -> list[str]:
    """Return the ids of the whole list, page by page."""
    await intake.covered()
    ids: list[str] = []
    token = ""
    while True:
        request = m.ListDirectoriesRequest(page_size=page_size, page_token=token)
        page = await intake.staff.ask("ListDirectories", request)
        assert len(page.directories) <= (page_size or 100)
        ids += [each.name.removeprefix("directories/") for each in page.directories]
        token = page.next_page_token
        if not token:
            return ids


async def test_an_import_changes_what_differs_and_leaves_the_rest_alone(intake: Intake) -> None:
    assert await put(intake.staff, an_entry("a"), an_entry("b")) == (2, 0)
    assert await put(intake.staff, an_entry("a"), an_entry("b", authority=51), an_entry("c")) == (2, 1)
    shown = await intake.staff.ask("GetDirectory", m.GetDirectoryRequest(name="directories/b"))
    assert (shown.directory.authority, shown.directory.etag) == (51, '"2"')
    assert await put(intake.staff, shown.directory) == (0, 1), "its etag is output only"


async def test_the_same_import_twice_at_once_changes_each_entry_once(intake: Intake) -> None:
    entries = [an_entry(f"d{each}") for each in range(40)]
    counts = await asyncio.gather(*(put(intake.staff, *entries) for _ in range(3)))
    assert sum(changed for changed, _ in counts) == 40
    assert (await intake.store.head()).number == 40


async def test_one_bad_entry_keeps_the_whole_import_out(intake: Intake) -> None:
    request = importing(
        an_entry("good"), an_entry("bad", submission_url="file:///etc/passwd"), an_entry("good")
    )
    refused = await intake.staff.refusal("ImportDirectories", request)
    assert refused.code is CODE.INVALID_ARGUMENT
    assert refused.fields == ("directories[1].submission_url", "directories[2].name")
    assert (await intake.store.head()).number == 0


async def test_an_import_has_one_to_five_hundred_entries(intake: Intake) -> None:
    for count in (0, 501):
        request = importing(*(an_entry(f"d{each}") for each in range(count)))
        assert (await intake.staff.refusal("ImportDirectories", request)).fields == ("directories",)


async def test_an_unknown_directory_is_not_found(intake: Intake) -> None:
    refused = await intake.staff.refusal("GetDirectory", m.GetDirectoryRequest(name="directories/none"))
    assert (refused.code, refused.reason) == (CODE.NOT_FOUND, "DIRECTORY_NOT_FOUND")
    assert refused.metadata == {"directory": "directories/none"}
    refused = await intake.staff.refusal("GetDirectory", m.GetDirectoryRequest(name="none"))
    assert refused.fields == ("name",)


async def test_the_list_is_by_authority_then_by_name_in_pages_that_make_the_whole(intake: Intake) -> None:
    entries = [an_entry(f"d{each:02}", authority=each % 3) for each in range(25)]
    await put(intake.staff, *entries)
    expected = sorted((f"d{each:02}" for each in range(25)), key=lambda name: (-(int(name[1:]) % 3), name))
    assert await listed(intake) == expected
    assert await listed(intake, page_size=4) == expected
    assert await listed(intake, page_size=25) == expected


async def test_customers_see_the_catalogue_too(intake: Intake) -> None:
    tenant = await intake.tenant()
    await intake.catalogue("a")
    await intake.covered()
    page = await tenant.ask("ListDirectories", m.ListDirectoriesRequest())
    assert [each.name for each in page.directories] == ["directories/a"]
    assert await tenant.ask("GetDirectory", m.GetDirectoryRequest(name="directories/a"))


async def test_a_page_token_opens_for_the_same_question_only(intake: Intake) -> None:
    await intake.catalogue("a", "b", "c")
    await intake.covered()
    page = await intake.staff.ask("ListDirectories", m.ListDirectoriesRequest(page_size=1))
    for token in (page.next_page_token[:-2], page.next_page_token.swapcase(), "made-up"):
        request = m.ListDirectoriesRequest(page_token=token)
        assert (await intake.staff.refusal("ListDirectories", request)).fields == ("page_token",)
    refused = await intake.staff.refusal("ListDirectories", m.ListDirectoriesRequest(page_size=-1))
    assert refused.fields == ("page_size",)
