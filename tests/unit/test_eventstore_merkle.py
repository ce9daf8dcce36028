"""Merkle trees are those of RFC 6962, and a path proves its own entry only."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.audit.merkle import MerkleTree, audit_paths, hash_of_entry, root_from_path, root_of

#: Eight entries, and the roots of the first one to eight of them, of Certificate Transparency's own tests.
ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("count", range(1, 9))
def test_the_roots_are_those_of_certificate_transparency(count: int) -> None:
    assert root_of(ENTRIES[:count]).hex() == ROOTS[count - 1]


def test_the_root_of_nothing_is_the_hash_of_nothing() -> None:
    assert MerkleTree().root() == hashlib.sha256().digest()


@given(st.integers(1, 300), st.data())
def test_a_path_leads_from_every_entry_to_the_root(size: int, data: st.DataObject) -> None:
    entries = [number.to_bytes(32) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))

    (path,) = audit_paths(entries, [index])

    assert root_from_path(entries[index], index, size, path) == root_of(entries)
    assert len(path) <= (size - 1).bit_length()


@given(st.integers(2, 300), st.data())
def test_a_path_proves_no_other_entry_place_or_length(size: int, data: st.DataObject) -> None:
    entries = [number.to_bytes(32) for number in range(size)]
    index, other = data.draw(
        st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda pair: pair[0] != pair[1])
    )
    (path,) = audit_paths(entries, [index])
    root = root_of(entries)

    assert root_from_path(entries[other], index, size, path) != root
    assert root_from_path(entries[index], other, size, path) != root
    assert root_from_path(entries[index], index, size, [*path, bytes(32)]) is None
    assert root_from_path(entries[index], index, size, path[:-1]) != root


def test_a_place_outside_of_the_tree_has_no_root() -> None:
    assert root_from_path(b"", 1, 1, []) is None
    assert root_from_path(b"", -1, 1, []) is None


def test_a_node_cannot_be_passed_off_as_an_entry() -> None:
    left, right = hash_of_entry(b"a"), hash_of_entry(b"b")

    assert root_of([left + right]) != root_of([b"a", b"b"])
