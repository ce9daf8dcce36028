"""The contract is a closed world: what is declared is generated and served, and nothing else is."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest
from tidy_tree import ROOT, files, shown, text_of, tree_of

if TYPE_CHECKING:
    from pathlib import Path

SERVICES = ROOT / "services"
SERVICE = re.compile(r"^service (?P<name>\w+) \{\n(?P<body>.*?)^\}", re.MULTILINE | re.DOTALL)
RPC = re.compile(r"^\s*rpc (?P<name>\w+)\(", re.MULTILINE)

PROTOS = [path for path in files() if path.suffix == ".proto"]


def rpcs_by_room() -> dict[str, set[str]]:
    """Return the RPCs of the contract by the room that owes them."""
    found: dict[str, set[str]] = {}
    for path in PROTOS:
        room = path.relative_to(ROOT / "proto" / "directorybolt").parts[0]
        for service in SERVICE.finditer(text_of(path)):
            found.setdefault(room, set()).update(RPC.findall(service["body"]))
    return found


def servicer_files(room: str) -> list[Path]:
    """Return the files of a room that answer RPCs."""
    folder = SERVICES / room
    return sorted({*folder.glob("*servicer*.py"), *folder.glob("servicer*/**/*.py")})


def methods_of(path: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the methods of a file's classes that are named as RPCs are."""
    return {
        node.name: node
        for owner in ast.walk(tree_of(path))
        if isinstance(owner, ast.ClassDef)
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:1].isupper()
    }


def served_by(room: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return the RPC methods of a room."""
    return {name: node for path in servicer_files(room) for name, node in methods_of(path).items()}


def is_a_shell(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Return whether a method does nothing but refuse."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return not body or (len(body) == 1 and isinstance(body[0], ast.Raise | ast.Pass))


@pytest.mark.parametrize("path", PROTOS, ids=shown)
def test_every_proto_has_its_generated_code(path: Path) -> None:
    has_service = SERVICE.search(text_of(path)) is not None
    for suffix, owed in (("_pb2.py", True), ("_pb2.pyi", True), ("_pb2_grpc.py", has_service)):
        generated = path.with_name(path.stem + suffix)
        assert generated.exists() == owed, f"run ./bolt proto and commit {shown(generated)}"


def test_no_generated_code_outlives_its_proto() -> None:
    generated = [path for path in files() if re.search(r"_pb2(_grpc)?\.pyi?$", path.name)]
    orphans = [
        shown(path)
        for path in generated
        if not path.with_name(re.sub(r"_pb2(_grpc)?\.pyi?$", ".proto", path.name)).exists()
    ]

    assert generated, "no generated code was found"
    assert orphans == [], f"delete these: {orphans}"


@pytest.mark.parametrize("room", sorted(rpcs_by_room()))
def test_every_rpc_of_the_contract_is_served_and_no_other(room: str) -> None:
    if not (SERVICES / room).is_dir():
        pytest.skip(f"services/{room} is not there yet")
    served = served_by(room)

    missing = sorted(rpcs_by_room()[room] - set(served))
    stray = sorted(set(served) - rpcs_by_room()[room])
    assert missing == [], (
        f"write these in services/{room}/servicer*.py, or take them out of the contract: {missing}"
    )
    assert stray == [], f"these answer no RPC of the contract: {stray}"


@pytest.mark.parametrize("room", sorted(rpcs_by_room()))
def test_no_rpc_is_an_empty_shell(room: str) -> None:
    shells = [name for name, node in served_by(room).items() if is_a_shell(node)]

    assert shells == [], f"declared and left undone in services/{room}: {shells}"


def test_the_contract_is_seen() -> None:
    assert set(rpcs_by_room()) == {"intake", "scheduler", "submitter", "monitor", "gateway"}
    assert "CreateJob" in rpcs_by_room()["intake"]
