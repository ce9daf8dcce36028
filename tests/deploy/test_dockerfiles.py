"""The Dockerfiles: linted, non-root, pinned, and in step with the tree that they copy from.

No Docker engine is needed; what only a build can show is listed in deploy/README.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted((ROOT / "deploy" / "docker").glob("*.Dockerfile"))
SERVICES = {"intake", "scheduler", "monitor", "gateway", "submitter"}
COPY_LINE = re.compile(r"^COPY (?!--from)(?P<paths>.+)$", re.MULTILINE)

each_dockerfile = pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)


def hadolint() -> str:
    """Return the linter's path, or skip with what to do."""
    beside_python = Path(sys.executable).parent / "hadolint"
    found = str(beside_python) if beside_python.exists() else shutil.which("hadolint")
    return found or pytest.skip("hadolint is not installed: it comes with the dev extra on Linux")


def instructions(dockerfile: Path) -> list[str]:
    """Return the file's instructions, one a line, continuations joined and comments dropped."""
    text = dockerfile.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def final_stages(dockerfile: Path) -> list[list[str]]:
    """Return the instructions of each stage that has an entrypoint, with those that it inherits."""
    stages: dict[str, list[str]] = {}
    current: list[str] = []
    for line in instructions(dockerfile):
        if found := re.match(r"FROM (?P<base>\S+) AS (?P<name>\S+)", line):
            current = list(stages.get(found["base"], []))
            stages[found["name"]] = current
        current.append(line)
    return [stage for stage in stages.values() if any(line.startswith("ENTRYPOINT") for line in stage)]


def allowed_into_the_build(path: str) -> bool:
    """Return whether .dockerignore lets `path` through: everything is refused but what `!` names."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    named = [line[1:] for line in lines if line.startswith("!")]
    return any(path == name or path.startswith(f"{name}/") for name in named)


def test_both_dockerfiles_are_there() -> None:
    assert [path.name for path in DOCKERFILES] == ["services.Dockerfile", "worker.Dockerfile"]


@each_dockerfile
def test_hadolint_has_nothing_to_say(dockerfile: Path) -> None:
    answer = subprocess.run([hadolint(), str(dockerfile)], capture_output=True, text=True, check=False)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@each_dockerfile
def test_every_image_runs_as_a_named_user_that_is_not_root(dockerfile: Path) -> None:
    for stage in final_stages(dockerfile):
        users = [line.split()[1] for line in stage if line.startswith("USER ")]
        assert users, "end the stage with USER"
        uid, _, gid = users[-1].partition(":")
        assert int(uid) > 0
        assert int(gid) > 0
        assert any(f"useradd --uid {uid}" in line for line in stage), f"uid {uid} has no passwd line"


@each_dockerfile
def test_no_base_image_floats(dockerfile: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")
    base = re.search(r"^ARG PYTHON_IMAGE=(\S+)$", text, re.MULTILINE)

    assert base, "name the base in ARG PYTHON_IMAGE, so that a release can pin its digest"
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+|python@sha256:[0-9a-f]{64}", base[1])
    assert ":latest" not in text


@each_dockerfile
def test_only_pinned_wheels_are_installed(dockerfile: Path) -> None:
    installs = [line for line in instructions(dockerfile) if "pip install" in line]

    assert installs
    for line in installs:
        pinned = "--require-hashes" in line and "--only-binary :all:" in line
        assert pinned or ("--no-index" in line and "--no-deps" in line), f"what does this fetch? {line}"


@each_dockerfile
def test_every_image_has_an_exec_entrypoint_and_a_health_check(dockerfile: Path) -> None:
    for stage in final_stages(dockerfile):
        entrypoint = next(line for line in stage if line.startswith("ENTRYPOINT"))
        assert re.fullmatch(r'ENTRYPOINT \[("tini", "--", )?"python", "-m", "services\.\w+"\]', entrypoint)
        assert any(line.startswith("HEALTHCHECK") and "health_probe.py" in line for line in stage)


def test_every_service_has_an_image() -> None:
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCKERFILES)

    assert set(re.findall(r'ENTRYPOINT \[.*"services\.(\w+)"\]', text)) == SERVICES


@each_dockerfile
def test_what_is_copied_exists_and_is_let_through(dockerfile: Path) -> None:
    for found in COPY_LINE.finditer(dockerfile.read_text(encoding="utf-8")):
        for path in found["paths"].split()[:-1]:
            assert (ROOT / path).exists(), f"{dockerfile.name} copies {path}, which is not there"
            assert allowed_into_the_build(path), f"add !{path} to .dockerignore"


@each_dockerfile
def test_every_package_of_the_wheel_is_copied(dockerfile: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages: list[str] = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    copied = {path for line in instructions(dockerfile) if line.startswith("COPY ") for path in line.split()}

    assert set(packages) - copied == set()


def test_the_worker_reaps_its_browsers_children() -> None:
    worker = ROOT / "deploy" / "docker" / "worker.Dockerfile"

    assert 'ENTRYPOINT ["tini", "--"' in worker.read_text(encoding="utf-8")


def test_no_image_turns_the_browsers_sandbox_off() -> None:
    for path in sorted((ROOT / "deploy").rglob("*")):
        if path.is_file() and path.suffix in {".Dockerfile", ".json", ".yaml", ".tf"}:
            assert "--no-sandbox" not in path.read_text(encoding="utf-8"), path
