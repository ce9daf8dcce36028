"""A job as a trace viewer shows it: one journey from the order to the click, or linked ones, and no secrets.

Each mode runs a mesh of its own that exports to a receiver of ours, and is stopped before anybody looks:
what a process has not sent when it ends, nobody ever sees.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest

from stack.mesh import MeshOptions
from tests.doubles.otlp_receiver import receiving
from tests.fix_mesh import GIVEN, QUICK, fill_catalogue, started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.doubles.otlp_receiver import ReceivedSpan

CREATE_JOB = "directorybolt.intake.v1.IntakeService/CreateJob"
SPANS_PER_SUBMISSION_MAX = 60

#: Each span of a job with one submission: its name, kind and service, and the name of its parent.
JOURNEY = {
    (CREATE_JOB, "SERVER", "intake", ""),
    ("scheduler.plan", "INTERNAL", "scheduler", CREATE_JOB),
    ("scheduler.dispatch", "INTERNAL", "scheduler", "scheduler.plan"),
    ("send p1", "PRODUCER", "scheduler", "scheduler.dispatch"),
    ("process submit", "CONSUMER", "submitter", "send p1"),
    ("browser.acquire", "INTERNAL", "submitter", "process submit"),
    ("attempt", "INTERNAL", "submitter", "process submit"),
    ("open", "INTERNAL", "submitter", "attempt"),
    ("fill", "INTERNAL", "submitter", "attempt"),
    ("submit", "INTERNAL", "submitter", "attempt"),
    ("recognise", "INTERNAL", "submitter", "attempt"),
    ("scheduler.complete", "INTERNAL", "scheduler", CREATE_JOB),
}


@dataclass(frozen=True, slots=True)
class Recording:
    """What a mesh has said of itself while it ran one job."""

    spans: Sequence[ReceivedSpan]
    #: Content of each log file, by its name.
    logs: Mapping[str, str]
    job_id: str
    #: What must appear nowhere, by what it is.
    confidential: Mapping[str, str]

    def of(self, name: str) -> Sequence[ReceivedSpan]:
        """Return the spans of a name, oldest first."""
        return sorted((each for each in self.spans if each.name == name), key=lambda span: span.began)

    def the(self, name: str) -> ReceivedSpan:
        """Return the one span of a name."""
        (found,) = self.of(name)
        return found

    def trace(self, trace_id: str) -> Sequence[ReceivedSpan]:
        """Return the spans of a trace."""
        return [each for each in self.spans if each.trace_id == trace_id]


async def record(state_directory: Path, mode: str, directory: str) -> Recording:
    """Run a mesh, and in it one job for one directory, from its start to its end."""
    async with receiving() as receiver:
        told = {
            **QUICK,
            "DIRECTORYBOLT_TRACE_MODE": mode,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{receiver.address}",
        }
        options = MeshOptions(state_directory=state_directory, submitters=1, environment=told)
        async with started(options) as running:
            await fill_catalogue(running)
            async with running.customer() as customer:
                job = await customer.order(directory)
                _ = [news async for news in customer.watch(job.name)]
            secrets = {"staff key": running.staff_key, "service key": running.service_key}
    business = customer.business
    return Recording(
        spans=receiver.spans,
        logs={path.name: path.read_text(encoding="utf-8", errors="replace") for path in running.logs},
        job_id=job.name.rpartition("/")[2],
        confidential={
            **{name: key.rpartition("_")[2] for name, key in {**secrets, "key": customer.key}.items()},
            **{name: path.read_text(encoding="ascii") for name, path in running.key_files.items()},
            "name": business.business_name,
            "name in an address": quote(business.business_name),
            "name in a form": quote_plus(business.business_name),
            "phone": business.phone,
            "bare phone": business.phone.replace(" ", "").removeprefix("+1"),
            "e-mail": business.email,
            "contact's e-mail": business.contact_email,
            "contact": business.contact_last_name,
            "street": business.address.street_line1,
        },
    )


def recorded(tmp_path_factory: pytest.TempPathFactory, mode: str, directory: str) -> Iterator[Recording]:
    """Record once for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner() as runner:
        for name in GIVEN:
            patch.delenv(name, raising=False)
        yield runner.run(record(tmp_path_factory.mktemp(mode) / "up", mode, directory))


@pytest.fixture(scope="module")
def as_parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """Record a job in one trace."""
    yield from recorded(tmp_path_factory, "parent", "sandbox-plain")


@pytest.fixture(scope="module")
def as_links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """Record a job in linked traces; its site fails three times before it takes the form."""
    yield from recorded(tmp_path_factory, "link", "sandbox-flaky")


def edges(spans: Sequence[ReceivedSpan]) -> set[tuple[str, str, str, str]]:
    """Return name, kind, service and parent's name of each span."""
    names = {each.span_id: each.name for each in spans}
    return {(each.name, each.kind, each.service, names.get(each.parent_id, "")) for each in spans}


def test_one_trace_goes_from_the_order_through_all_services_to_the_click(as_parent: Recording):
    root = as_parent.the(CREATE_JOB)
    spans = as_parent.trace(root.trace_id)
    assert edges(spans) == JOURNEY
    assert len(spans) <= SPANS_PER_SUBMISSION_MAX
    assert [each.name for each in spans if each.failed] == []
    # None of them is left without the span that it says it belongs to.
    known = {each.span_id for each in spans}
    assert [each.name for each in spans if each.parent_id not in {"", *known}] == []


def test_the_spans_of_a_job_tell_which_job_directory_and_attempt_they_are_about(as_parent: Recording):
    process = as_parent.the("process submit").attributes
    assert process["directorybolt.job.id"] == as_parent.job_id
    assert process["directorybolt.directory.id"] == "sandbox-plain"
    assert process["directorybolt.attempt.number"] == "1"
    assert process["directorybolt.attempt.outcome"] == "listed"
    assert process["directorybolt.worker.id"] == "submitter-1"
    assert (
        process["directorybolt.submission.id"]
        == (as_parent.the("send p1").attributes["directorybolt.submission.id"])
    )
    assert as_parent.the("submit").attributes["directorybolt.form.requests_sent"] == "1"
    assert as_parent.the(CREATE_JOB).attributes["rpc.status_code"] == "OK"


def test_the_legs_of_an_attempt_follow_each_other(as_parent: Recording):
    legs = ["scheduler.dispatch", "send p1", "process submit", "open", "fill", "submit", "recognise"]
    begun = [as_parent.the(name).began for name in legs]
    assert begun == sorted(begun)


def test_in_link_mode_every_attempt_is_a_trace_that_links_to_the_order_and_to_the_attempt_before(
    as_links: Recording,
):
    order = as_links.the(CREATE_JOB)
    attempts = as_links.of("process submit")
    sends = as_links.of("send p1")
    assert [each.attributes["directorybolt.attempt.number"] for each in attempts] == ["1", "2", "3", "4"]
    assert {each.parent_id for each in attempts} == {""}
    assert len({order.trace_id, *(each.trace_id for each in [*attempts, *sends])}) == 1 + 4 + 4
    for attempt, send, before in zip(attempts, sends, [None, *attempts[:-1]], strict=True):
        origins = {(order.trace_id, order.span_id), (send.trace_id, send.span_id)}
        if before:
            origins.add((before.trace_id, before.span_id))
        assert set(attempt.links) == origins


@pytest.mark.parametrize("recording", ["as_parent", "as_links"])
def test_nothing_confidential_is_in_any_span_or_log(recording: str, request: pytest.FixtureRequest):
    seen: Recording = request.getfixturevalue(recording)
    said = {f"span {each.name}": "\n".join(each.texts) for each in seen.spans} | dict(seen.logs)
    assert {"intake.log", "scheduler.log", "submitter-1.log", "monitor.log"} <= set(seen.logs)
    assert all(seen.confidential.values())
    leaks = [
        (what, where)
        for where, text in said.items()
        for what, secret in seen.confidential.items()
        if secret in text
    ]
    assert leaks == []


def test_the_log_lines_of_a_job_name_its_trace(as_parent: Recording):
    trace_id = as_parent.the(CREATE_JOB).trace_id
    assert [name for name in ("intake.log", "submitter-1.log") if trace_id not in as_parent.logs[name]] == []
