"""What can be seen of the Terraform without terraform: read as text, so that it is checked everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
TERRAFORM = DEPLOY / "terraform"
RESOURCE = re.compile(
    r'^resource "(?P<type>\w+)" "(?P<name>\w+)" \{\n(?P<body>.*?)^\}', re.MULTILINE | re.DOTALL
)


def resources() -> dict[str, str]:
    """Return the body of each resource by its address."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(TERRAFORM.glob("*.tf")))
    return {f"{found['type']}.{found['name']}": found["body"] for found in RESOURCE.finditer(text)}


def work_queues() -> dict[str, str]:
    """Return the queues that are no dead-letter queues themselves."""
    queues = {name: body for name, body in resources().items() if name.startswith("aws_sqs_queue.")}
    return {name: body for name, body in queues.items() if "-dlq" not in body}


def alarm_bodies() -> list[str]:
    return [body for name, body in resources().items() if name.startswith("aws_cloudwatch_metric_alarm.")]


def test_every_queue_sends_its_dead_letters_somewhere() -> None:
    without = [name for name, body in work_queues().items() if "deadLetterTargetArn" not in body]

    assert work_queues(), "no queue was found in deploy/terraform"
    assert without == [], f"give these a redrive_policy with a dead-letter queue: {without}"


def test_every_queue_is_encrypted_and_polled_long() -> None:
    queues = {name: body for name, body in resources().items() if name.startswith("aws_sqs_queue.")}

    for name, body in queues.items():
        assert re.search(r"sqs_managed_sse_enabled\s+= true", body), f"set sqs_managed_sse_enabled in {name}"
        assert re.search(r"receive_wait_time_seconds\s+= 20", body), (
            f"set receive_wait_time_seconds in {name}"
        )


@pytest.mark.parametrize("metric", ["ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"])
def test_each_metric_that_tells_of_trouble_has_an_alarm(metric: str) -> None:
    watching = [body for body in alarm_bodies() if f'"{metric}"' in body]

    assert watching, f"add an alarm on {metric} to alarms.tf"


def test_every_queue_is_watched() -> None:
    queues = [name for name in resources() if name.startswith("aws_sqs_queue.")]
    unwatched = [name for name in queues if not any(f"{name}[" in body for body in alarm_bodies())]

    assert unwatched == [], f"add an alarm to alarms.tf for {unwatched}"


def test_every_alarm_speaks_to_the_topic_and_names_an_existing_runbook() -> None:
    headings = re.findall(r"^#+ (.+)$", (DEPLOY / "README.md").read_text(encoding="utf-8"), re.MULTILINE)

    for body in alarm_bodies():
        assert "alarm_actions" in body
        assert "aws_sns_topic.alarms.arn" in body
        named = re.search(r"Runbook: deploy/README\.md, section '([^']+)'", body)
        assert named, "end alarm_description with Runbook: deploy/README.md, section '…'"
        assert named[1] in headings, f"write the section '{named[1]}' in deploy/README.md"


def test_no_account_number_or_key_is_written_down() -> None:
    for path in sorted(TERRAFORM.glob("*.tf")):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\b\d{12}\b", text), f"{path.name} names an account: take it from a data source"
        assert not re.search(r"(access_key|secret_key)\s*=", text), f"{path.name} holds a key"
