"""The Terraform of the queues: formatted, valid, and true to its promises under a mocked provider.

It runs wherever `terraform` is on PATH and the AWS provider is to be had: from a plugin directory named by
DIRECTORYBOLT_TERRAFORM_PLUGINS, from one in a usual place, or from a registry. Elsewhere it skips, and says
what was missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parents[2] / "deploy" / "terraform"
PLUGINS_VARIABLE = "DIRECTORYBOLT_TERRAFORM_PLUGINS"
USUAL_PLUGIN_PLACES = (
    "~/.terraform.d/plugins",
    "/usr/share/terraform/plugins",
    "/usr/local/share/terraform/plugins",
)
COMMAND_TIMEOUT_SECONDS = 120

needs_terraform = pytest.mark.skipif(
    shutil.which("terraform") is None,
    reason="terraform is not on PATH: install 1.11 or newer to check deploy/",
)


def terraform_environment() -> dict[str, str]:
    """Return our environment less terraform's variables, but for where its user keeps providers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    for name in ("TF_CLI_CONFIG_FILE", "TF_PLUGIN_CACHE_DIR"):
        if (place := os.environ.get(name)) and Path(place).exists():
            environment[name] = place
    return environment | {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}


def run_terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run terraform in `folder`, asking nothing."""
    return subprocess.run(
        ["terraform", *arguments],
        cwd=folder,
        env=terraform_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_TIMEOUT_SECONDS,
    )


def plugin_folders() -> Iterator[Path]:
    """Yield the folders that may hold the provider, the one that was named first."""
    if named := os.environ.get(PLUGINS_VARIABLE):
        yield Path(named)
        return
    candidates = [Path(place).expanduser() for place in USUAL_PLUGIN_PLACES]
    candidates += sorted(Path("/opt").glob("*plugins*"))
    yield from (place for place in candidates if any(place.glob("*/hashicorp/aws")))


def init_arguments() -> list[list[str]]:
    """Return the ways to initialise, in the order in which to try them."""
    base = ["init", "-backend=false", "-no-color"]
    offline = [[*base, f"-plugin-dir={folder}"] for folder in plugin_folders()]
    return offline if os.environ.get(PLUGINS_VARIABLE) else [*offline, base]


@pytest.fixture(scope="module")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of deploy/terraform that terraform has initialised."""
    folder = tmp_path_factory.mktemp("terraform") / "terraform"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    refusals: list[str] = []
    for arguments in init_arguments():
        answer = run_terraform(folder, *arguments)
        if answer.returncode == 0:
            return folder
        refusals.append(answer.stderr.strip())
    if os.environ.get(PLUGINS_VARIABLE):
        pytest.fail(f"{PLUGINS_VARIABLE} names no usable provider: {refusals[-1]}")
    pytest.skip(f"no AWS provider: name a plugin directory in {PLUGINS_VARIABLE}. {refusals[-1][:300]}")


@needs_terraform
def test_terraform_files_are_formatted() -> None:
    answer = run_terraform(SOURCE, "fmt", "-check", "-diff", "-recursive", "-no-color")

    assert answer.returncode == 0, f"run `terraform fmt -recursive deploy/terraform`:\n{answer.stdout}"


@needs_terraform
def test_terraform_files_are_valid(initialised: Path) -> None:
    answer = run_terraform(initialised, "validate", "-json")

    verdict: dict[str, Any] = json.loads(answer.stdout)
    assert verdict["diagnostics"] == []
    assert verdict["valid"]


@needs_terraform
def test_the_promises_of_the_queues_hold(initialised: Path) -> None:
    answer = run_terraform(initialised, "test", "-no-color")

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "Success!" in answer.stdout
    assert " 0 passed" not in answer.stdout, "no run block was found in deploy/terraform/tests"


@needs_terraform
def test_a_misspelt_argument_is_caught(initialised: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(initialised, spoilt, symlinks=True)
    queues = spoilt / "queues.tf"
    queues.write_text(
        queues.read_text(encoding="utf-8").replace("receive_wait_time_seconds", "receive_wait_seconds"),
        encoding="utf-8",
    )

    assert run_terraform(spoilt, "validate", "-no-color").returncode != 0


@needs_terraform
def test_a_shared_dead_letter_queue_is_caught(initialised: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(initialised, spoilt, symlinks=True)
    queues = spoilt / "queues.tf"
    queues.write_text(
        queues.read_text(encoding="utf-8").replace("dead_letter[each.key].arn", 'dead_letter["p1"].arn'),
        encoding="utf-8",
    )

    answer = run_terraform(spoilt, "test", "-no-color", "-filter=tests/queues.tftest.hcl")

    assert answer.returncode != 0
    assert 'run "every_queue_has_its_own_dead_letter_queue"... fail' in answer.stdout
