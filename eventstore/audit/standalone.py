"""Checks a proof bundle without any database: Python's standard library and `cryptography` are all it needs.

    python verify.py BUNDLE [--public-key KEY]... [--allow-unsealed]

BUNDLE is the folder or the .tar file that an export made. KEY is the public key that the log's owner told
you, 64 hexadecimal digits: without it the bundle proves only that somebody signed it. It is checked

 1. that the files are those that the manifest names, whole;
 2. that each log seal is signed, by one of your keys, and continues the one before it where both are here;
 3. that each event is the one that was sealed in its place: its leaf leads to the Merkle root of its seal;
 4. that events next to each other are chained, and the chain ends where a seal says;
 5. that what is here is what the manifest says was asked for.

Exit codes: 0 all of it is proven; 1 something is wrong; 2 the arguments were not understood; 3 nothing is
wrong, but some events have no seal yet (with --allow-unsealed that is 0).

What no bundle can show: that nothing was left out of a selection (only a range, and a stream's versions, are
complete in themselves), and who made it, and when.
"""

# ruff: noqa: T201  # a command speaks to whoever called it
from __future__ import annotations

import argparse
import base64
import hashlib
import json
import struct
import sys
import tarfile
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

FORMAT = "eventstore proof bundle 1"
MANIFEST, MANIFEST_DIGEST = "manifest.json", "manifest.sha256"
MANIFEST_NAMES = ("format", "log_id", "scope", "events_count", "seals_count", "made_at", "files")
EVENTS, SEALS, PATHS, OWN_NAME = "events.ndjson", "seals.ndjson", "paths.ndjson", "verify.py"
FILES = frozenset({EVENTS, SEALS, PATHS, OWN_NAME})
PROVEN, WRONG, UNSEALED = 0, 1, 3
COMPLAINTS_MAX = 20
#: Besides ranges: which of an event's identifiers a selection goes by.
_KINDS = {"tenant": ["tenant"], "stream": ["stream_id"], "event": ["event_id"]}
_KINDS["correlation"] = ["correlation_id", "stream_id"]

_EPOCH, _MICROSECOND = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_EVENT_FIXED, _SEAL_FIXED = struct.Struct(">qhq16s16sih16s"), struct.Struct(">16shqqqq")
_SEAL_FORMAT, _ZEROS, _CHUNK_BYTES = b"eventstore log seal v1\x00", bytes(32), 1 << 20


class Wrong(Exception):
    """Something that does not fit; the message says what and where."""


class Fields:
    """A JSON object with exactly the fields that it must have, each readable in one form only.

    So nothing in a bundle can be changed without changing what it means.
    """

    def __init__(self, line: str, place: str, names: Iterable[str]) -> None:
        try:
            self._found: dict[str, Any] = json.loads(line, object_pairs_hook=_without_repeats)
        except (ValueError, RecursionError):
            raise Wrong(f"{place}: this is not JSON") from None
        if type(self._found) is not dict or set(self._found) != set(names):
            raise Wrong(f"{place}: the fields are not {', '.join(sorted(names))}")
        self._place = place

    def any(self, name: str) -> Any:
        """Return whatever a field holds."""
        return self._found[name]

    def whole(self, name: str) -> int:
        """Return a whole number."""
        value = self._found[name]
        return value if type(value) is int else self._refuse(name, "a whole number")

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._found[name]
        is_text = isinstance(value, str) and not any("\ud800" <= each <= "\udfff" for each in value)
        return value if is_text else self._refuse(name, "a text")

    def digest(self, name: str, size: int = 32) -> bytes:
        """Return bytes from their hexadecimal digits."""
        found: bytes = self._exact(name, bytes.fromhex, bytes.hex, "hexadecimal digits")
        return found if len(found) == size else self._refuse(name, f"{size} bytes long")

    def identifier(self, name: str) -> UUID:
        """Return an identifier."""
        return self._exact(name, UUID, str, "a UUID")

    def optional(self, name: str) -> UUID | None:
        """Return an identifier that may be absent."""
        return None if self._found[name] is None else self.identifier(name)

    def instant(self, name: str) -> int:
        """Return an instant as microseconds since the beginning of 2000."""
        found = self._exact(name, datetime.fromisoformat, _in_utc, "an instant in UTC")
        return (found - _EPOCH) // _MICROSECOND

    def payload(self) -> bytes:
        """Return an event's bytes."""
        return self._exact("payload", base64.b64decode, _in_base64, "base64")

    def _exact(self, name: str, read: Callable[[str], Any], write: Callable[[Any], str], kind: str) -> Any:
        text = self.text(name)
        try:
            found = read(text)
            return found if write(found) == text else self._refuse(name, kind)
        except (ValueError, OverflowError):
            return self._refuse(name, kind)

    def _refuse(self, name: str, kind: str) -> Any:
        raise Wrong(f"{self._place}: {name} is not {kind}")


def _in_base64(found: bytes) -> str:
    return base64.b64encode(found).decode()


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a field is named twice")
    return dict(pairs)


def _in_utc(found: datetime) -> str:
    return found.astimezone(UTC).isoformat(timespec="microseconds")


def _entry(content: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + content).digest()


def _pair(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_path(content: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the Merkle root (RFC 6962) that a path leads to; None when it fits no tree of that size."""
    if not 0 <= index < size:
        return None
    node, last, rest = _entry(content), size - 1, list(path)
    while last:
        if index & 1 or index < last:
            if not rest:
                return None
            sibling = rest.pop(0)
            node = _pair(sibling, node) if index & 1 else _pair(node, sibling)
        index, last = index >> 1, last >> 1
    return None if rest else node


class Tree:
    """The Merkle root of what comes."""

    def __init__(self) -> None:
        self.size = 0
        self._subtrees: list[bytes] = []

    def add(self, content: bytes) -> None:
        """Take the next entry."""
        node, size = _entry(content), self.size
        while size & 1:
            node, size = _pair(self._subtrees.pop(), node), size >> 1
        self._subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of what came."""
        node = self._subtrees[-1]
        for left in reversed(self._subtrees[:-1]):
            node = _pair(left, node)
        return node


class Seal:
    """A signed statement over a range of a lane."""

    NAMES = (
        *("log_id", "lane", "number", "from_position", "to_position", "sealed_at", "root", "end_hash"),
        *("previous_hash", "public_key", "signature"),
    )

    def __init__(self, line: str, place: str) -> None:
        fields = Fields(line, place, self.NAMES)
        numbers = [fields.whole(name) for name in ("lane", "number", "from_position", "to_position")]
        digests = [fields.digest(name) for name in ("root", "end_hash", "previous_hash", "public_key")]
        self.log_id = fields.identifier("log_id")
        self.lane, self.number, self.first, self.last = numbers
        self.root, self.end_hash, self.previous_hash, self.public_key = digests
        self.signature = fields.digest("signature", 64)
        self.place = f"log seal {self.number} of lane {self.lane}"
        self.size = self.last - self.first + 1
        try:
            fixed = _SEAL_FIXED.pack(self.log_id.bytes, *numbers, fields.instant("sealed_at"))
        except struct.error:
            raise Wrong(f"{place}: a number is out of range") from None
        self.statement = b"".join((_SEAL_FORMAT, fixed, *digests))

    def check(self, before: Seal | None, keys: frozenset[bytes]) -> Iterator[str]:
        """Yield what is wrong with it."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(self.signature, self.statement)
        except (InvalidSignature, ValueError):
            yield f"{self.place}: the signature is not good"
        if keys and self.public_key not in keys:
            yield f"{self.place}: signed by {self.public_key.hex()}, which is none of your keys"
        if not 1 <= self.first <= self.last or self.number < 1:
            yield f"{self.place}: covers nothing"
        if self.number == 1 and (self.first, self.previous_hash) != (1, _ZEROS):
            yield f"{self.place}: is the first, but does not begin at the beginning"
        if before is not None:
            yield from self._check_order(before)

    def _check_order(self, before: Seal) -> Iterator[str]:
        if (self.lane, self.number) <= (before.lane, before.number):
            yield f"{self.place}: stands in the wrong place"
        elif (self.lane, self.number - 1) == (before.lane, before.number):
            hash_before = hashlib.sha256(before.statement + before.signature).digest()
            if (self.previous_hash, self.first) != (hash_before, before.last + 1):
                yield f"{self.place}: does not continue log seal {before.number}"
        elif self.lane == before.lane and self.first <= before.last:
            yield f"{self.place}: overlaps log seal {before.number}"


class Event:
    """An event, and the digest that seals and chain are made of."""

    NAMES = (
        *("lane", "position", "recorded_at", "event_id", "stream_id", "version", "schema_version", "tenant"),
        *("correlation_id", "causation_id", "category", "event_type", "trace_parent", "actor", "payload"),
        "hash",
    )

    def __init__(self, line: str, place: str) -> None:
        fields = Fields(line, place, self.NAMES)
        self.lane, self.position, self.version = map(fields.whole, ("lane", "position", "version"))
        identifiers = map(fields.identifier, ("event_id", "stream_id", "tenant"))
        self.event_id, self.stream_id, self.tenant = identifiers
        self.correlation_id = fields.optional("correlation_id")
        self.recorded_at = fields.instant("recorded_at")
        self.hash = None if fields.any("hash") is None else fields.digest("hash")
        self.place = f"position {self.position} of lane {self.lane}"
        try:
            self.leaf = hashlib.sha256(self._covered(fields)).digest()
        except struct.error:
            raise Wrong(f"{place}: a number is out of range") from None

    def _covered(self, fields: Fields) -> bytes:
        place = (self.position, self.lane, self.recorded_at, self.event_id.bytes, self.stream_id.bytes)
        versions = (self.version, fields.whole("schema_version"))
        fixed = _EVENT_FIXED.pack(*place, *versions, self.tenant.bytes)
        ids = (self.correlation_id, fields.optional("causation_id"))
        names = ("category", "event_type", "trace_parent", "actor")
        sized = [*(fields.text(name).encode() for name in names), fields.payload()]
        return b"".join(
            (
                *(b"\x01", fixed),
                *(b"\x00" if each is None else b"\x01" + each.bytes for each in ids),
                *(struct.pack(">i", len(each)) + each for each in sized),
            )
        )


def lines(folder: Path, name: str) -> Iterator[tuple[str, str]]:
    """Yield each line of a file, with words for where it is."""
    with (folder / name).open("rb") as file:
        for number, line in enumerate(file, 1):
            place = f"{name} line {number}"
            try:
                yield place, line.decode()
            except UnicodeDecodeError:
                raise Wrong(f"{place}: this is not UTF-8") from None


def check_files(folder: Path) -> Fields:
    """Return the manifest of a bundle whose files are whole."""
    names = sorted(each.name for each in folder.iterdir())
    if names != sorted({*FILES, MANIFEST, MANIFEST_DIGEST}):
        raise Wrong(f"the files are {', '.join(names)}: something lacks or does not belong here")
    content = (folder / MANIFEST).read_bytes()
    if (folder / MANIFEST_DIGEST).read_text(
        "ascii"
    ) != f"{hashlib.sha256(content).hexdigest()}  {MANIFEST}\n":
        raise Wrong(f"{MANIFEST} is not the file that {MANIFEST_DIGEST} names")
    manifest = Fields(content.decode(errors="replace"), MANIFEST, MANIFEST_NAMES)
    if manifest.text("format") != FORMAT:
        raise Wrong(f"{MANIFEST}: the format is not '{FORMAT}'")
    manifest.instant("made_at")
    if manifest.any("files") != {name: measured(folder / name) for name in FILES}:
        raise Wrong("a file is not the one that the manifest names")
    return manifest


def measured(path: Path) -> dict[str, object]:
    """Return the size and the SHA-256 of a file."""
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            found.update(chunk)
            size += len(chunk)
    return {"bytes": size, "sha256": found.hexdigest()}


class Scope:
    """What the manifest says is here: a range of each lane, or every event with some identifier."""

    def __init__(self, scope: Any) -> None:
        fields = json.dumps(scope)
        self._next: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._version = 0
        self._kind = "range" if type(scope) is dict and "lanes" in scope else ""
        if self._kind:
            for each in Fields(fields, MANIFEST, ("kind", "lanes")).any("lanes"):
                lane = Fields(json.dumps(each), MANIFEST, ("lane", "from_position", "to_position"))
                self._next[lane.whole("lane")] = lane.whole("from_position")
                self._ends[lane.whole("lane")] = lane.whole("to_position")
        else:
            self._kind = Fields(fields, MANIFEST, ("kind", "id")).text("kind")
            self._id = Fields(fields, MANIFEST, ("kind", "id")).identifier("id")
        if scope["kind"] != self._kind or self._kind not in {"range", *_KINDS}:
            raise Wrong(f"{MANIFEST}: nobody knows the scope {scope['kind']}")

    def take(self, event: Event) -> Iterator[str]:
        """Yield why an event does not belong here."""
        if self._kind == "range":
            if self._next.get(event.lane) != event.position:
                yield f"{event.place}: expected position {self._next.get(event.lane)}"
            self._next[event.lane] = event.position + 1
        elif self._id not in [getattr(event, name) for name in _KINDS[self._kind]]:
            yield f"{event.place}: does not belong to {self._kind} {self._id}"
        if self._kind == "stream":
            if self._version and event.version != self._version + 1:
                yield f"{event.place}: version {self._version + 1} of the stream is missing"
            self._version = event.version

    def end(self) -> Iterator[str]:
        """Yield what is missing at the end."""
        for lane, end in self._ends.items():
            if self._next[lane] != end + 1:
                yield f"lane {lane}: the events from position {self._next[lane]} to {end} are missing"


class Inquiry:
    """Everything that is checked, and what was found."""

    def __init__(self, folder: Path, keys: frozenset[bytes]) -> None:
        self.complaints: list[str] = []
        self.seals: list[Seal] = []
        self.events_count = self.unsealed_count = 0
        self._folder, self._keys = folder, keys
        self._ends: dict[tuple[int, int], bytes] = {}
        self._paths = self._read_paths()
        self._path: tuple[tuple[int, int], list[bytes]] | None = None
        self._at = 0  # of the seal that the next event may be under
        self._tree = Tree()
        self._before: Event | None = None
        self._is_anchored = True

    def run(self) -> None:
        """Check everything; complaints say what is wrong."""
        manifest = check_files(self._folder)
        scope = Scope(manifest.any("scope"))
        self._read_seals(manifest.identifier("log_id"))
        self._path = next(self._paths, None)
        for place, line in lines(self._folder, EVENTS):
            event = Event(line, place)
            self.complaints += [*self._check_chain(event), *self._check_seal(event), *scope.take(event)]
            self._before = event
            self.events_count += 1
        self.complaints += [*self._leave_seal(), *self._end_run(), *scope.end()]
        if self._path is not None:
            self.complaints.append(f"{PATHS}: there is a path for no event")
        if (manifest.whole("events_count"), manifest.whole("seals_count")) != (
            self.events_count,
            len(self.seals),
        ):
            self.complaints.append(f"{MANIFEST}: it counts other events or log seals")

    def _read_seals(self, log_id: UUID) -> None:
        for place, line in lines(self._folder, SEALS):
            seal = Seal(line, place)
            self.complaints += seal.check(self.seals[-1] if self.seals else None, self._keys)
            if seal.log_id != log_id:
                self.complaints.append(f"{seal.place}: belongs to another log")
            self.seals.append(seal)
            self._ends[seal.lane, seal.last] = seal.end_hash

    def _read_paths(self) -> Iterator[tuple[tuple[int, int], list[bytes]]]:
        for place, line in lines(self._folder, PATHS):
            fields = Fields(line, place, ("lane", "position", "path"))
            nodes = [Fields(json.dumps({"node": each}), place, ["node"]) for each in fields.any("path")]
            yield (fields.whole("lane"), fields.whole("position")), [each.digest("node") for each in nodes]

    def _check_chain(self, event: Event) -> Iterator[str]:
        before = self._before
        if before and (event.lane, event.position) <= (before.lane, before.position):
            yield f"{event.place}: stands in the wrong place"
        if before and event.lane == before.lane and event.recorded_at < before.recorded_at:
            yield f"{event.place}: is dated before its predecessor"
        follows = before and (before.lane, before.position + 1) == (event.lane, event.position)
        known = before.hash if before and follows else None
        if known is None:
            yield from self._end_run()
            known = self._ends.get((event.lane, event.position - 1), _ZEROS if event.position == 1 else None)
            self._is_anchored = event.hash is None or known is not None
        if event.hash and known and hashlib.sha256(known + event.leaf).digest() != event.hash:
            yield f"{event.place}: the hash does not continue the chain"
        end = self._ends.get((event.lane, event.position))
        if event.hash and end:
            self._is_anchored = True
            if event.hash != end:
                yield f"{event.place}: the chain does not end where the log seal says"

    def _end_run(self) -> Iterator[str]:
        if self._before and not self._is_anchored:
            yield f"{self._before.place}: no log seal vouches for the hashes up to here"

    def _check_seal(self, event: Event) -> Iterator[str]:
        spot = (event.lane, event.position)
        while self._at < len(self.seals) and (self.seals[self._at].lane, self.seals[self._at].last) < spot:
            yield from self._leave_seal()
            self._at += 1
        seal = self.seals[self._at] if self._at < len(self.seals) else None
        if seal is None or seal.lane != event.lane or event.position < seal.first:
            self.unsealed_count += 1
        elif self._path is not None and self._path[0] == spot:
            if root_from_path(event.leaf, event.position - seal.first, seal.size, self._path[1]) != seal.root:
                yield f"{event.place}: is not the event that was sealed here"
            self._path = next(self._paths, None)
        else:
            self._tree.add(event.leaf)

    def _leave_seal(self) -> Iterator[str]:
        """Where events have no paths, all the events of the seal must be here."""
        if self._tree.size:
            seal = self.seals[self._at]
            if self._tree.size != seal.size or self._tree.root() != seal.root:
                yield f"{seal.place}: its events, {seal.first} to {seal.last}, are not the sealed ones"
        self._tree = Tree()

    def report(self, allow_unsealed: bool) -> int:  # noqa: FBT001  # as it was asked for
        """Say in words what was found, and return the exit code."""
        for each in self.complaints[:COMPLAINTS_MAX]:
            print("WRONG:", each)
        signers = ", ".join(sorted({seal.public_key.hex() for seal in self.seals})) or "nobody"
        print(f"{self.events_count} events, {len(self.seals)} log seals, signed by {signers}")
        if not self._keys:
            print("You named no public key: anybody may have signed this.")
        if self.unsealed_count:
            print(
                f"{self.unsealed_count} events have no log seal yet: nothing but the chain vouches for them."
            )
        if self.complaints:
            print(f"{len(self.complaints)} things are wrong: do not trust this bundle.")
            return WRONG
        print("Every event under a log seal is the one that was sealed.")
        return UNSEALED if self.unsealed_count and not allow_unsealed else PROVEN


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the bundle that the arguments name."""
    parser = argparse.ArgumentParser(description="Checks a proof bundle of an event log, without a database.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--public-key", action="append", default=[], help="64 hexadecimal digits")
    parser.add_argument("--allow-unsealed", action="store_true")
    given = parser.parse_args(arguments)
    try:
        keys = frozenset(map(bytes.fromhex, given.public_key))
        with tempfile.TemporaryDirectory() as unpacked:
            if not given.bundle.is_dir():
                with tarfile.open(given.bundle, "r:") as tar:
                    tar.extractall(unpacked, filter="data")
            inquiry = Inquiry(given.bundle if given.bundle.is_dir() else Path(unpacked), keys)
            try:
                inquiry.run()
            except (Wrong, OSError, TypeError, ValueError) as error:
                inquiry.complaints.append(str(error))
            return inquiry.report(given.allow_unsealed)
    except (ValueError, OSError, tarfile.TarError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
