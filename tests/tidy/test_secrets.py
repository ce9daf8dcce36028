"""What is committed holds no secret and is bound to no machine and no package host."""

from __future__ import annotations

import re

import pytest
from tidy_tree import files, is_test, shown

TEXT_BYTES_MAX = 2_000_000

MACHINE_PATHS = re.compile(r"(?<![\w.{}$])/(?:home/[a-z]|Users/[A-Za-z]|root/|work/|mnt/[a-z]/)")
PACKAGE_HOSTS = re.compile(
    r"(?:pypi|pythonhosted|npmjs|yarnpkg|golang|rubygems|crates)\.(?:org|com|io)"
    r"|registry\.terraform\.io|deb\.debian\.org|archive\.ubuntu\.com|ghcr\.io|cdn\.playwright\.dev"
)
SECRETS = {
    "an AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b"),
    "a Slack token": re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}"),
    "a Slack webhook": re.compile(r"hooks\.slack\.com/services/T[0-9A-Z]{8,}/"),
    "a key of ours": re.compile(r"\bdbk_[A-Za-z0-9]{6,}_[A-Za-z0-9_-]{32,}\b"),
}
PASSWORD_IN_ADDRESS = re.compile(r"\b[a-z]+://[^\s/:@{}<>$'\"]+:[^\s/:@{}<>$'\"]{3,}@[a-z0-9]")


def committed_texts() -> dict[str, str]:
    """Return the text of every file that is text."""
    texts: dict[str, str] = {}
    for path in files():
        content = path.read_bytes()
        if len(content) <= TEXT_BYTES_MAX and b"\0" not in content:
            texts[shown(path)] = content.decode("utf-8", errors="replace")
    return texts


def findings(pattern: re.Pattern[str], texts: dict[str, str]) -> list[str]:
    """Return where a pattern occurs: file and line."""
    return [
        f"{name}:{number} {found.group()}"
        for name, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := pattern.search(line))
    ]


@pytest.mark.parametrize("kind", SECRETS)
def test_no_secret_is_committed(kind: str) -> None:
    found = findings(SECRETS[kind], committed_texts())

    assert found == [], f"{kind} is in the tree: revoke it first, then take it out of the history:\n{found}"


def test_no_address_outside_the_tests_holds_a_password() -> None:
    ours = {shown(path) for path in files() if not is_test(path)}
    texts = {name: text for name, text in committed_texts().items() if name in ours}

    assert findings(PASSWORD_IN_ADDRESS, texts) == [], "read it from a file that the environment names"


def test_no_file_is_bound_to_one_machine() -> None:
    found = findings(MACHINE_PATHS, committed_texts())

    assert found == [], "take the path from the environment, or from the file's own place:\n" + "\n".join(
        found
    )


def test_no_file_names_a_package_host() -> None:
    found = findings(PACKAGE_HOSTS, committed_texts())

    assert found == [], "people install from mirrors; name the package, not the host:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (MACHINE_PATHS, "x = '" + "/home" + "/ann/x'"),
        (PACKAGE_HOSTS, "https://" + "pypi" + ".org/simple"),
        (SECRETS["an AWS key"], "AKIA" + "ABCDEFGHIJKLMNOP"),
        (SECRETS["a key of ours"], "dbk_" + "a1b2c3d4_" + "x" * 43),
        (PASSWORD_IN_ADDRESS, "postgres://ann:" + "secret@db/x"),
    ],
)
def test_the_patterns_find_what_they_are_for(pattern: re.Pattern[str], text: str) -> None:
    assert findings(pattern, {"file": text}) != []
