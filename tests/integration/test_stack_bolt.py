"""The one door, `./bolt`, with a real pip and a project that is small enough to install in a test."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = (
    "sh",
    "cat",
    "cksum",
    "cut",
    "dirname",
    "du",
    "env",
    "grep",
    "id",
    "rm",
    "git",
    "head",
    "mktemp",
    "tar",
)
VERBS = [
    "demo",
    "up",
    "test",
    "lint",
    "types",
    "proto",
    "bench",
    "sim",
    "majors",
    "chaos",
    "docs",
    "deploy-check",
    "setup",
    "clean",
    "help",
]

PYPROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny"
version = "1"
"""

BACKEND = '''
"""The smallest build backend that can install a project in place."""
import os, zipfile
NAME = "tiny-1-py3-none-any.whl"
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    with zipfile.ZipFile(os.path.join(wheel_directory, NAME), "w") as wheel:
        wheel.writestr("tiny.pth", os.getcwd())
        wheel.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n")
        tag = "Wheel-Version: 1.0\\nGenerator: b\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr("tiny-1.dist-info/WHEEL", tag)
        wheel.writestr("tiny-1.dist-info/RECORD", "tiny.pth,,\\n")
    return NAME
'''

SAY_ARGUMENTS = "import os, sys; print('cli', *sys.argv[1:], os.environ['DIRECTORYBOLT_STATE_ROOT'], sep='|')"
NO_BROWSER = "raise SystemExit(3)"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A copy of the door with a small project behind it, and a PATH on which all tools are chosen."""

    root: Path
    path: Path

    def bolt(self, *arguments: str, cwd: Path | None = None, **environment: str):
        """Run ./bolt as a user would, but far from a terminal."""
        return subprocess.run(
            [self.root / "bolt", *arguments],
            cwd=cwd or self.root,
            env={"PATH": str(self.path), "HOME": str(self.root), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def write(self, name: str, text: str) -> None:
        """Write a file of the project."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def tool(self, name: str, script: str) -> None:
        """Put a shell script on the PATH in place of a tool."""
        (self.path / name).unlink(missing_ok=True)
        (self.path / name).write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        (self.path / name).chmod(0o755)


def make_checkout(directory: Path) -> Checkout:
    """Make a checkout whose path has a space in it."""
    checkout = Checkout(directory / "my checkout", directory / "tools")
    checkout.root.mkdir()
    checkout.path.mkdir()
    for name in TOOLS:
        (checkout.path / name).symlink_to(shutil.which(name) or pytest.skip(f"needs {name}"))
    (checkout.path / "python3").symlink_to(base_python())
    shutil.copy(ROOT / "bolt", checkout.root / "bolt")
    for name in ("requirements.txt", "requirements-dev.txt"):
        checkout.write(name, "# no pins\n")
    checkout.write("pyproject.toml", PYPROJECT)
    checkout.write("backend.py", BACKEND)
    checkout.write("services/__init__.py", "")
    checkout.write("services/cli/__init__.py", "")
    checkout.write("services/cli/__main__.py", SAY_ARGUMENTS)
    checkout.write("services/submitter/__init__.py", "")
    checkout.write("services/submitter/find_browser.py", "print('path /usr/bin/some-browser')")
    return checkout


def base_python() -> Path:
    """Return the Python under our virtual environment."""
    return Path(os.path.realpath(sys.executable))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = make_checkout(tmp_path_factory.mktemp("door"))
    first = checkout.bolt("demo", "--chaos")
    assert first.returncode == 0, first.stderr
    assert "making .venv" in first.stderr
    return checkout


@pytest.fixture
def bare(tmp_path: Path) -> Checkout:
    return make_checkout(tmp_path)


def test_help_has_a_sentence_for_every_verb():
    shown = subprocess.run([ROOT / "bolt", "help"], capture_output=True, text=True, check=True).stdout
    lines = dict(re.findall(r"^  (\S+) +(\w.*)$", shown, re.MULTILINE))
    assert list(lines) == VERBS
    assert all(len(sentence.split()) > 2 for verb, sentence in lines.items() if verb != "help")


def test_no_verb_at_all_shows_the_help(bare: Checkout):
    assert bare.bolt().stdout == bare.bolt("--help").stdout != ""


def test_an_unknown_verb_is_refused_in_a_sentence(bare: Checkout):
    answer = bare.bolt("destroy")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "bolt: there is no verb 'destroy': ./bolt help lists them\n"


def test_the_second_run_goes_straight_to_work(installed: Checkout):
    second = installed.bolt("demo", "--chaos")
    assert second.stderr == ""
    assert second.stdout == f"cli|demo|--chaos|{installed.root}/.bolt\n"


def test_it_works_from_elsewhere_beside_foreign_python_settings(installed: Checkout, tmp_path: Path):
    """A folder `services` in the current directory and on PYTHONPATH must not be taken for ours."""
    (tmp_path / "services" / "cli").mkdir(parents=True)
    for package in ("services", "services/cli"):
        (tmp_path / package / "__init__.py").write_text("raise RuntimeError('the wrong services')")
    answer = installed.bolt(
        "up", cwd=tmp_path, PYTHONPATH=str(tmp_path), PYTHONHOME="/nowhere", VIRTUAL_ENV="/nowhere"
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == f"cli|up|{installed.root}/.bolt\n"


def test_changed_pins_are_installed_and_unchanged_ones_are_not(installed: Checkout):
    installed.write("requirements.txt", "# still no pins\n")
    assert "installing" in installed.bolt("demo").stderr
    assert installed.bolt("demo").stderr == ""


def test_a_pin_that_cannot_be_had_fails_and_is_tried_again(bare: Checkout):
    bare.write(
        "requirements.txt", f"no-such-package @ file://{bare.root}/nothing.whl --hash=sha256:{'0' * 64}\n"
    )
    for _ in range(2):
        answer = bare.bolt("demo")
        assert answer.returncode == 1
        assert "could not install the packages of requirements.txt" in answer.stderr.splitlines()[-1]


def test_a_virtual_environment_whose_python_is_gone_is_made_again(bare: Checkout):
    bin_directory = bare.root / ".venv" / "bin"
    bin_directory.mkdir(parents=True)
    (bin_directory / "python").symlink_to("/nowhere/python3.9")
    answer = bare.bolt("demo")
    assert answer.returncode == 0, answer.stderr
    assert "making .venv" in answer.stderr


def test_without_a_python_that_is_new_enough_it_says_what_to_install(bare: Checkout):
    bare.tool("python3", "exit 1")
    answer = bare.bolt("demo")
    assert answer.returncode == 1
    assert answer.stderr.startswith("bolt: making .venv\nbolt: Python 3.11 or newer is needed: install it")


def test_a_newer_python_beside_an_old_one_is_found(bare: Checkout):
    bare.tool("python3", "exit 1")
    (bare.path / "python3.12").symlink_to(base_python())
    assert bare.bolt("demo").returncode == 0


NO_ENSUREPIP = 'case "$*" in *"import ensurepip"*) [ -e "{flag}" ] || exit 1 ;; esac; exec {python} "$@"'


def test_without_the_venv_module_it_says_the_exact_command(bare: Checkout):
    bare.tool("python3", NO_ENSUREPIP.format(flag=bare.root / "flag", python=base_python()))
    answer = bare.bolt("demo")
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1] == (
        f"bolt: Python's venv module is missing: run  sudo apt-get install {version}-venv"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install without asking")
def test_as_root_it_installs_the_venv_module_itself(bare: Checkout):
    flag = bare.root / "flag"
    bare.tool("python3", NO_ENSUREPIP.format(flag=flag, python=base_python()))
    bare.tool("apt-get", f'case "$*" in *-venv) : >"{flag}" ;; *) exit 1 ;; esac')
    answer = bare.bolt("demo")
    assert answer.returncode == 0, answer.stderr
    assert "with apt-get (once)" in answer.stderr


def test_without_a_browser_it_says_the_exact_commands(installed: Checkout, tmp_path: Path):
    checkout = Checkout(tmp_path / "copy", installed.path)
    shutil.copytree(installed.root, checkout.root, symlinks=True)
    (checkout.root / ".venv" / "bolt.browser").unlink()
    checkout.write("services/submitter/find_browser.py", NO_BROWSER)
    answer = checkout.bolt("demo")
    assert answer.returncode == 1
    last = answer.stderr.splitlines()[-1]
    assert "sudo apt-get install chromium-headless-shell" in last
    assert "playwright install --with-deps --only-shell chromium" in last


def test_clean_names_what_goes_and_removes_it(installed: Checkout, tmp_path: Path):
    checkout = Checkout(tmp_path / "copy", installed.path)
    shutil.copytree(installed.root, checkout.root, symlinks=True)
    shutil.copytree(ROOT / "stack", checkout.root / "stack")
    checkout.write(".bolt/up/logs/intake.log", "kept\n")
    answer = checkout.bolt("clean")
    assert str(checkout.root / ".venv") in answer.stderr
    assert str(checkout.root / ".bolt") in answer.stderr
    assert sorted(path.name for path in checkout.root.iterdir() if path.name.startswith(".")) == []


def test_the_scripts_pass_shellcheck():
    checker = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or "shellcheck"
    subprocess.run([checker, ROOT / "bolt", ROOT / ".ci" / "run"], check=True, timeout=60)
