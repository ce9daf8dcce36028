"""Merkle trees as RFC 6962 has them: one root for many entries, and a short path from any entry to it.

An entry is hashed with a zero byte in front, a pair of nodes with a one: nobody can pass a node off as an
entry. The tree is never held: a root is computed while the entries go by, in memory that grows with their
logarithm.

Source: RFC 6962 section 2.1, RFC 9162 section 2.1.3.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ENTRY: Final = b"\x00"
_NODE: Final = b"\x01"


class MerkleTree:
    """The root of the entries seen so far."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, entry: bytes) -> None:
        """Take the next entry."""
        node = hash_of_entry(entry)
        size = self.size
        while size & 1:
            node = _parent(self._subtrees.pop(), node)
            size >>= 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root; of nothing, the hash of nothing."""
        if not self._subtrees:
            return hashlib.sha256().digest()
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = _parent(left, node)
        return node


def hash_of_entry(entry: bytes) -> bytes:
    """Return an entry's node at the bottom of the tree."""
    return hashlib.sha256(_ENTRY + entry).digest()


def root_of(entries: Iterable[bytes]) -> bytes:
    """Return the root of some entries."""
    tree = MerkleTree()
    for each in entries:
        tree.add(each)
    return tree.root()


def audit_paths(entries: Sequence[bytes], indexes: Iterable[int]) -> Sequence[Sequence[bytes]]:
    """Return for each index the nodes that lead from its entry to the root, bottom first."""
    levels = _levels(entries)
    return [_path(levels, index) for index in indexes]


def root_from_path(entry: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to, or None when it is no path of a tree of that size."""
    if not 0 <= index < size:
        return None
    node, last, rest = hash_of_entry(entry), size - 1, list(path)
    while last:
        if index & 1 or index < last:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = _parent(sibling, node) if index & 1 else _parent(node, sibling)
        index, last = index >> 1, last >> 1
    return None if rest else node


def _levels(entries: Sequence[bytes]) -> Sequence[Sequence[bytes]]:
    levels = [[hash_of_entry(each) for each in entries]]
    while len(below := levels[-1]) > 1:
        pairs = [_parent(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        # A node without a neighbour goes up as it is.
        levels.append(pairs + below[len(pairs) * 2 :])
    return levels


def _path(levels: Sequence[Sequence[bytes]], index: int) -> Sequence[bytes]:
    path: list[bytes] = []
    for level in levels[:-1]:
        if index ^ 1 < len(level):
            path.append(level[index ^ 1])
        index >>= 1
    return path


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(_NODE + left + right).digest()
