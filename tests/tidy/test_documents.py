"""What the documents say is so: links lead somewhere, decisions are numbered, dependencies explained."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from tidy_tree import ROOT, files, shown, text_of

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
CODE_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
REQUIREMENT_NAME = re.compile(r"^[A-Za-z0-9._-]+")
DEPENDENCY_ROW = re.compile(r"^\| `(?P<name>[a-z0-9-]+)` \|(?P<rest>.+)\|$", re.MULTILINE)
ADR_NAME = re.compile(r"(?P<number>\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md")
ADR_LINES_MAX = 60

DOCUMENTS = [path for path in files() if path.suffix == ".md"]
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))


def broken_links(document: str, text: str) -> list[str]:
    """Return the links of a document that lead to no file."""
    folder = (ROOT / document).parent
    targets = [found["target"] for found in LINK.finditer(CODE_FENCE.sub("", text))]
    local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    return [f"{document}: {target}" for target in local if target and not (folder / target).exists()]


def requirement_names() -> set[str]:
    """Return the distributions that pyproject.toml names, in any of its lists."""
    settings: dict[str, Any] = tomllib.loads(text_of(ROOT / "pyproject.toml"))
    lists: list[list[str]] = [
        settings["build-system"]["requires"],
        settings["project"]["dependencies"],
        *settings["project"]["optional-dependencies"].values(),
    ]
    found = [REQUIREMENT_NAME.match(line) for each in lists for line in each]
    return {match.group().lower() for match in found if match}


def test_every_link_to_a_file_leads_somewhere() -> None:
    broken = [line for path in DOCUMENTS for line in broken_links(shown(path), text_of(path))]

    assert DOCUMENTS, "no document was found"
    assert broken == [], "mend the link or write the file:\n" + "\n".join(broken)


def test_a_broken_link_is_found() -> None:
    assert broken_links("README.md", "see [here](docs/no-such-file.md#part)") == [
        "README.md: docs/no-such-file.md"
    ]


def test_every_dependency_is_explained_and_no_other() -> None:
    explained = {
        found["name"] for found in DEPENDENCY_ROW.finditer(text_of(ROOT / "docs" / "dependencies.md"))
    }

    missing = sorted(requirement_names() - explained)
    gone = sorted(explained - requirement_names())
    assert missing == [], f"add a row to docs/dependencies.md (what for, what else was considered): {missing}"
    assert gone == [], f"take these rows out of docs/dependencies.md: {gone}"


def test_every_dependency_says_what_for_and_what_else() -> None:
    for found in DEPENDENCY_ROW.finditer(text_of(ROOT / "docs" / "dependencies.md")):
        cells = [cell.strip() for cell in found["rest"].split("|")]
        assert len(cells) == 2, f"{found['name']}: name, what for, what else was considered"
        assert all(cells), f"{found['name']}: an empty cell explains nothing"


def test_decisions_are_numbered_without_gap_or_repeat() -> None:
    numbers = [int(match["number"]) for path in DECISIONS if (match := ADR_NAME.fullmatch(path.name))]

    assert len(numbers) == len(DECISIONS), "name a decision NNNN-what-was-decided.md"
    assert numbers == list(range(1, len(numbers) + 1)), f"take the next free number: {numbers}"


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_a_title_and_its_three_parts(path: Any) -> None:
    lines = text_of(path).splitlines()
    headings = [line for line in lines if line.startswith("#")]

    assert re.fullmatch(rf"# {int(path.name[:4])}\. \S.+", headings[0]), (
        f"begin with '# {int(path.name[:4])}. Title'"
    )
    assert headings[1:] == ["## Context", "## Decision", "## Consequences"]
    assert any(re.fullmatch(r"(Accepted|Superseded by .+), \d{4}-\d{2}-\d{2}\.", line) for line in lines)
    assert len(lines) <= ADR_LINES_MAX, (
        "a decision fits on a page; the present state goes to docs/architecture"
    )


def test_the_changelog_is_open_for_the_next_change() -> None:
    headings = [line for line in text_of(ROOT / "CHANGELOG.md").splitlines() if line.startswith("## ")]

    assert headings, "begin CHANGELOG.md with ## [Unreleased]"
    assert headings[0] == "## [Unreleased]", "what comes next is written under ## [Unreleased], at the top"
    kinds = set(re.findall(r"^### (.+)$", text_of(ROOT / "CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
