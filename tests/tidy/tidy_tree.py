"""The repository as the tidy tests read it: which files there are, who wrote them, what is in them."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

GENERATED = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", "requirements*.txt", "LICENSE")
NEVER_OURS = {
    *(".git", ".venv", ".bolt", ".terraform", "__pycache__", "node_modules", "dist"),
    *(".hypothesis", ".import_linter_cache", ".pytest_cache", ".ruff_cache"),
}
WRITTEN_SUFFIXES = {
    *(".css", ".Dockerfile", ".hcl", ".html", ".js", ".json", ".md", ".proto"),
    *(".py", ".sh", ".sql", ".tf", ".toml", ".yaml", ".yml", ""),
}

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Function:
    """A function of ours: where it is and how many lines it has, its docstring not counted."""

    path: Path
    name: str
    line: int
    lines_count: int

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} {self.name} ({self.lines_count} lines)"


@cache
def files() -> tuple[Path, ...]:
    """Return what git has or would take in; outside git, whatever lies there."""
    answer = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    names = answer.stdout.decode().split("\0") if answer.returncode == 0 else []
    known = [ROOT / name for name in names if name] or list(ROOT.rglob("*"))
    return tuple(sorted(path for path in known if path.is_file() and _ours(path)))


def _ours(path: Path) -> bool:
    return NEVER_OURS.isdisjoint(path.relative_to(ROOT).parts)


@cache
def written_files() -> tuple[Path, ...]:
    """Return the text files that a person wrote and has to read."""
    return tuple(
        path
        for path in files()
        if path.suffix in WRITTEN_SUFFIXES and not any(path.match(pattern) for pattern in GENERATED)
    )


@cache
def python_files() -> tuple[Path, ...]:
    """Return the Python that a person wrote, tests included."""
    return tuple(path for path in written_files() if path.suffix == ".py")


def is_test(path: Path) -> bool:
    """Return whether a file belongs to the tests or the benchmarks."""
    return path.relative_to(ROOT).parts[0] in {"tests", "bench"}


def shown(path: Path) -> str:
    """Return a path as people write it."""
    return str(path.relative_to(ROOT))


@cache
def text_of(path: Path) -> str:
    """Return a file's text."""
    return path.read_text(encoding="utf-8")


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a Python file's syntax tree."""
    return ast.parse(text_of(path), filename=str(path))


@cache
def functions() -> tuple[Function, ...]:
    """Return every function of ours, nested ones too."""
    return tuple(each for path in python_files() for each in _functions_of(path))


def _functions_of(path: Path) -> Iterator[Function]:
    for node in ast.walk(tree_of(path)):
        if isinstance(node, FunctionNode):
            yield Function(path, node.name, node.lineno, _lines_without_docstring(node))


def _lines_without_docstring(node: FunctionNode) -> int:
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)
