"""From a profile in a file to a job: the steps that a customer's program takes, through the public API."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid4, uuid5

import click
from directorybolt.intake.v1 import customers_pb2, jobs_pb2
from directorybolt.job.v1 import job_pb2
from directorybolt.profile.v1.profile_pb2 import BusinessProfile
from google.protobuf import json_format
from grpc import StatusCode
from grpc.aio import AioRpcError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from directorybolt.directory.v1.directory_pb2 import Directory
    from directorybolt.job.v1.job_pb2 import Job

    from services.cli.connection import Connection, Intake

PROFILE_BYTES_MAX = 1_048_576
#: Long enough for a service that starts again, short enough for a person who waits for a dead one.
RECONNECTS_MAX = 40
RECONNECT_PAUSE_SECONDS = 0.5


class ProfileFileError(click.ClickException):
    """The file is no business profile."""

    exit_code = 2


def read_profile(path: Path) -> BusinessProfile:
    """Return the business profile that a JSON file holds.

    Errors: ProfileFileError naming what is wrong and where an example is.
    """
    try:
        if path.stat().st_size > PROFILE_BYTES_MAX:
            raise ProfileFileError(f"{path} has more than {PROFILE_BYTES_MAX} bytes: it is no profile")
        # Some editors begin a file with a byte order mark.
        return _parsed(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileFileError(f"{path} cannot be read: {error}") from error
    except (json_format.ParseError, json.JSONDecodeError, RecursionError) as error:
        detail = str(error).splitlines()[0]
        raise ProfileFileError(
            f"{path} is no business profile: {detail}. An example: sandbox/profiles/bakery.json"
        ) from error


def _parsed(text: str) -> BusinessProfile:
    # The library takes an empty list for an empty profile.
    if not isinstance(json.loads(text), dict):
        raise json_format.ParseError("a JSON object is wanted")
    return json_format.Parse(text, BusinessProfile())


async def create_customer(staff: Intake, display_name: str, request_id: str) -> str:
    """Take a customer on and return its resource name."""
    response = await staff.CreateCustomer(
        customers_pb2.CreateCustomerRequest(
            request_id=request_id,
            customer=customers_pb2.Customer(
                display_name=display_name,
                email="owner@example.com",
                package=job_pb2.PACKAGE_PROFESSIONAL,
            ),
        )
    )
    return response.customer.name


async def create_api_key(staff: Intake, customer: str) -> str:
    """Make an API key for a customer and return its secret."""
    response = await staff.CreateApiKey(
        customers_pb2.CreateApiKeyRequest(parent=customer, display_name="directorybolt command")
    )
    return response.secret


async def import_directories(staff: Intake, directories: Sequence[Directory]) -> int:
    """Put directories into the catalogue and return how many were new or changed."""
    response = await staff.ImportDirectories(customers_pb2.ImportDirectoriesRequest(directories=directories))
    return response.changed_count


async def upsert_profile(intake: Intake, customer: str, business: BusinessProfile) -> str:
    """Store a profile and return its resource name; the same content gives the same profile."""
    content = business.SerializeToString(deterministic=True).hex()
    request_id = str(uuid5(NAMESPACE_URL, customer + content))
    response = await intake.UpsertProfile(
        customers_pb2.UpsertProfileRequest(
            parent=customer, profile=customers_pb2.Profile(business=business), request_id=request_id
        )
    )
    return response.profile.name


async def create_job(intake: Intake, customer: str, profile: str, directories: Sequence[str]) -> Job:
    """Order a profile to be listed; none of the directories named means: chosen by package."""
    response = await intake.CreateJob(
        jobs_pb2.CreateJobRequest(
            parent=customer, profile=profile, directories=directories, request_id=str(uuid4())
        )
    )
    return response.job


async def watch(
    connection: Connection,
    job: str,
    *,
    reconnects_max: int = RECONNECTS_MAX,
    pause_seconds: float = RECONNECT_PAUSE_SECONDS,
) -> AsyncIterator[jobs_pb2.WatchJobResponse]:
    """Yield what happens to a job until it ends; a broken stream goes on where it broke off.

    Errors: AioRpcError when it was refused, or broke off so often without news in between.
    """
    position, broken = "", 0
    while True:
        try:
            request = jobs_pb2.WatchJobRequest(name=job, after_position=position)
            async for news in connection.intake.WatchJob(request):
                position, broken = news.position, 0
                yield news
        except AioRpcError as error:
            broken += 1
            if error.code() is not StatusCode.UNAVAILABLE or broken > reconnects_max:
                raise
            await asyncio.sleep(pause_seconds)
        else:
            return
