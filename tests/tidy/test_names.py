"""Names say what a thing is about, and one thing has one name."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from tidy_tree import ROOT, files, is_test, python_files, shown, text_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator

GLOSSARY = ROOT / "docs" / "glossary.md"
EMPTY_WORDS = {
    *("util", "utils", "utility", "utilities", "common", "helper", "helpers"),
    *("manager", "managers", "misc", "stuff"),
}
SYNONYM = re.compile(r"`([a-z][a-z0-9_]*)`")
WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Definition:
    """A name that we gave: its words in lower case, and where."""

    words: tuple[str, ...]
    name: str
    place: str


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a snake_case or CamelCase name."""
    return tuple(word for word in WORD_START.sub("_", name).lower().split("_") if word)


def names_defined_by(node: ast.AST) -> Iterator[str]:
    """Yield the names that one node of a syntax tree gives to something."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name):
            yield name
        case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
            yield name
        case _:
            return


@cache
def definitions() -> tuple[Definition, ...]:
    """Return every name that our code, tests aside, gives to something."""
    return tuple(
        Definition(words_of(name), name, f"{shown(path)}:{getattr(node, 'lineno', 1)}")
        for path in python_files()
        if not is_test(path)
        for node in ast.walk(tree_of(path))
        for name in names_defined_by(node)
    )


def forbidden_synonyms() -> dict[tuple[str, ...], str]:
    """Return the words that the glossary forbids, each with the word to use."""
    rows = [
        line.split("|") for line in GLOSSARY.read_text(encoding="utf-8").splitlines() if line.startswith("|")
    ]
    cells = [[cell.strip() for cell in row[1:-1]] for row in rows]
    return {
        tuple(synonym.split("_")): word.strip("*")
        for word, _, *rest in (row for row in cells if len(row) == 3)
        for synonym in SYNONYM.findall(rest[0])
    }


def holds(words: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Return whether `wanted` stands in `words` in one piece."""
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words) - len(wanted) + 1))


def test_no_file_or_folder_has_an_empty_name() -> None:
    named = {shown(path): set(re.split(r"[^a-z0-9]+", shown(path).lower())) for path in files()}
    empty = {name: sorted(words & EMPTY_WORDS) for name, words in named.items() if words & EMPTY_WORDS}

    assert empty == {}, f"name each after what is in it: {empty}"


def test_the_glossary_forbids_something() -> None:
    synonyms = forbidden_synonyms()

    assert len(synonyms) > 20, (
        "the third column of docs/glossary.md holds the words not to use, in backquotes"
    )
    assert synonyms["heartbeat",] == "pulse"


def test_no_identifier_uses_a_word_that_the_glossary_forbids() -> None:
    synonyms = forbidden_synonyms()
    wrong = [
        f"{each.place} {each.name}: say '{word}', not '{'_'.join(synonym)}'"
        for each in definitions()
        for synonym, word in synonyms.items()
        if holds(each.words, synonym)
    ]

    assert wrong == [], "one word per thing (docs/glossary.md):\n" + "\n".join(wrong)


def contract_fields() -> set[str]:
    """Return the names that the contract gives; ours follow them where we hand them on."""
    protos = [path for path in files() if path.suffix == ".proto"]
    return {name for path in protos for name in re.findall(r"(\w+) = \d+;", text_of(path))}


def test_units_and_limits_stand_last() -> None:
    given = contract_fields()
    wrong = [
        f"{each.place} {each.name}"
        for each in definitions()
        if len(each.words) > 1
        and each.words[0] in {"max", "min", "maximum", "minimum", "num"}
        and each.name not in given
    ]

    assert wrong == [], "write `pages_max`, not `max_pages`:\n" + "\n".join(wrong)
