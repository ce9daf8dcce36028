"""The worker's seccomp profile, loaded into the kernel: Chromium's sandbox works, and little else does."""

from __future__ import annotations

import ctypes.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROFILE = ROOT / "deploy" / "docker" / "chromium-seccomp.json"
RUNNER = Path(__file__).with_name("run_under_seccomp.py")
CHROMIUM = shutil.which("chromium-headless-shell")
PAGE = "data:text/html,<script>document.title=String(6*7)</script>"

needs_libseccomp = pytest.mark.skipif(
    sys.platform != "linux" or ctypes.util.find_library("seccomp") is None,
    reason="libseccomp is not here: on Debian it is the package libseccomp2",
)
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium-headless-shell is not on PATH")

FORBIDDEN_TO_THE_WORKER = {
    "ptrace another process": "ctypes.CDLL(None, use_errno=True).ptrace(0, 0, 0, 0)",
    "change the execution domain": "ctypes.CDLL(None, use_errno=True).personality(0xffffffff)",
    "talk to the hypervisor": "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "reach the kernel's crypto": "socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)",
}


def run_under_profile(*command: str, without: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command as an ordinary user under the profile, perhaps with one call less."""
    less = ["--without", without] if without else []
    return subprocess.run(
        [sys.executable, str(RUNNER), str(PROFILE), *less, "--", *command],
        cwd="/",
        env={"HOME": "/tmp", "PATH": "/usr/bin:/bin"},  # noqa: S108 - the image's own home
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def dump_page(*, without: str | None = None) -> subprocess.CompletedProcess[str]:
    return run_under_profile(str(CHROMIUM), "--dump-dom", PAGE, without=without)


@needs_libseccomp
@needs_chromium
def test_chromium_runs_a_page_inside_its_own_sandbox_under_the_profile() -> None:
    answer = dump_page()

    assert "<title>42</title>" in answer.stdout, answer.stderr


@needs_libseccomp
@needs_chromium
@pytest.mark.parametrize("call", ["unshare", "chroot", "capset"])
def test_the_profile_holds_no_more_of_the_sandboxs_calls_than_it_needs(call: str) -> None:
    answer = dump_page(without=call)

    assert "<title>42</title>" not in answer.stdout, f"Chromium does without {call}: take it off the profile"


@needs_libseccomp
@pytest.mark.parametrize("deed", FORBIDDEN_TO_THE_WORKER)
def test_what_a_browser_has_no_business_with_is_refused(deed: str) -> None:
    code = FORBIDDEN_TO_THE_WORKER[deed]
    program = (
        "import ctypes, socket\n"
        "try:\n"
        f"    result = {code}\n"
        "    print(ctypes.get_errno() if result == -1 else 'allowed')\n"
        "except OSError as error:\n"
        "    print(error.errno)\n"
    )

    assert run_under_profile("/usr/bin/env", "python3", "-c", program).stdout == "1\n"


def test_the_profile_refuses_what_it_does_not_name() -> None:
    profile = json.loads(PROFILE.read_text(encoding="utf-8"))
    allowed = {name for entry in profile["syscalls"] for name in entry["names"]}

    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert all(entry["action"] == "SCMP_ACT_ALLOW" for entry in profile["syscalls"])
    assert allowed.isdisjoint(
        {"mount", "bpf", "ptrace", "kexec_load", "init_module", "io_uring_setup", "keyctl"}
    )
