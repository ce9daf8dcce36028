"""A customer's own program: plain grpcio and stubs made from the protos, without a line of ours.

Run as `python -I -S stranger.py STUBS SITE_PACKAGES ADDRESS STAFF_KEY` with a business profile (JSON) on
standard input; it says in one line of JSON what it met.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from typing import Any
from uuid import uuid4

# Neither the project nor what it adds to the path of its environment can be seen from here.
sys.path[:0] = [sys.argv[1]]
sys.path.append(sys.argv[2])
assert not [each for each in ("services", "eventstore", "stack") if importlib.util.find_spec(each)]

# ruff: noqa: E402  # the path has to be right first
import grpc
from directorybolt.intake.v1 import customers_pb2, intake_service_pb2_grpc, jobs_pb2
from directorybolt.job.v1 import job_pb2
from directorybolt.profile.v1 import profile_pb2
from google.protobuf import json_format
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

SECONDS_MAX = 120.0


def services_of(channel: grpc.Channel) -> list[str]:
    """Return the services that reflection names."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(iter(stub.ServerReflectionInfo(iter([asked]), timeout=SECONDS_MAX)))
    return [each.name for each in answer.list_services_response.service]


class Shop:
    """A customer with a key, and what they can do."""

    def __init__(self, channel: grpc.Channel, staff_key: str) -> None:
        # The types of the stubs speak of the asynchronous channel; this program uses the other one.
        untyped: Any = channel
        self._intake: Any = intake_service_pb2_grpc.IntakeServiceStub(untyped)
        staff = [("authorization", f"Bearer {staff_key}")]
        wanted = customers_pb2.Customer(
            display_name="Stranger", email="stranger@example.com", package=job_pb2.PACKAGE_STARTER
        )
        asked = customers_pb2.CreateCustomerRequest(customer=wanted, request_id=str(uuid4()))
        self.name: str = self._intake.CreateCustomer(asked, metadata=staff).customer.name
        made = self._intake.CreateApiKey(customers_pb2.CreateApiKeyRequest(parent=self.name), metadata=staff)
        self._metadata = [("authorization", f"Bearer {made.secret}")]

    def order(self, business: profile_pb2.BusinessProfile, directory: str) -> str:
        """Store a profile, order a listing and return the job's name."""
        asked = customers_pb2.UpsertProfileRequest(
            parent=self.name, profile=customers_pb2.Profile(business=business), request_id=str(uuid4())
        )
        profile = self._intake.UpsertProfile(asked, metadata=self._metadata).profile.name
        order = jobs_pb2.CreateJobRequest(
            parent=self.name, profile=profile, directories=[directory], request_id=str(uuid4())
        )
        return self._intake.CreateJob(order, metadata=self._metadata).job.name

    def watch(self, job: str, after: str = "") -> list[jobs_pb2.WatchJobResponse]:
        """Return all that happens to a job until it ends."""
        asked = jobs_pb2.WatchJobRequest(name=job, after_position=after)
        return list(self._intake.WatchJob(asked, metadata=self._metadata, timeout=SECONDS_MAX))


def main() -> None:
    """Order a listing, watch it to its end, and watch its second half again."""
    address, staff_key = sys.argv[3:]
    business = json_format.Parse(sys.stdin.read(), profile_pb2.BusinessProfile())
    with grpc.insecure_channel(address) as channel:
        shop = Shop(channel, staff_key)
        job = shop.order(business, "directories/sandbox-plain")
        seen = shop.watch(job)
        middle = len(seen) // 2
        again = shop.watch(job, seen[middle - 1].position)
        met = {
            "services": services_of(channel),
            "seen": [each.event.event_id for each in seen],
            "rest": [each.event.event_id for each in seen[middle:]],
            "again": [each.event.event_id for each in again],
            "completed": seen[-1].event.HasField("job_completed"),
            "state": job_pb2.JobState.Name(seen[-1].job.state),
        }
    sys.stdout.write(json.dumps(met) + "\n")


if __name__ == "__main__":
    main()
