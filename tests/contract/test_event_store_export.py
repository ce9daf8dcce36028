"""A proof bundle is whole, and a program that knows no database believes it; a changed one it does not."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import shutil
import sys
import tarfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from eventstore.audit import standalone
from eventstore.audit.bundle import TargetTaken
from eventstore.audit.chain import leaf
from eventstore.audit.event_text import to_line
from eventstore.audit.export import export
from eventstore.audit.selection import EventRange, Selected
from eventstore.errors import LogDamaged
from eventstore.types import NewEvent, StreamAppend
from tests.fix_events import OTHER_TENANT, TENANT, event
from tests.fix_seals import OTHER_SIGNER, SIGNER, SealedLog, seal_everything, sealed_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from eventstore.audit.bundle import Exported

pytest_plugins = ["tests.fix_postgres"]

__all__ = ["sealed_log"]

JOB = UUID(int=77)
KEY = SIGNER.public_key.hex()
SECOND = timedelta(seconds=1)


async def nothing(_: Exported) -> None:
    """Do nothing before a release."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the program said."""

    code: int | None
    words: str


async def check(bundle: Path, empty: Path, *more: str, key: str = KEY) -> Told:
    """Let the bundle's own program check it: isolated, in an empty folder."""
    program = empty / "verify.py"
    shutil.copyfile(standalone.__file__, program)
    command = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(program), str(bundle), "--public-key", key, *more),
        cwd=empty,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await command.communicate()
    return Told(command.returncode, said.decode())


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Give an empty folder."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest_asyncio.fixture
async def job_log(sealed_log: SealedLog) -> SealedLog:
    """Give a sealed log in which a job's events lie among others, under several seals."""
    for number in range(8):
        of_job = NewEvent("test.v1.Happened", bytes([number]), correlation_id=JOB, causation_id=uuid4())
        await sealed_log.store.append(
            StreamAppend(JOB if number % 2 else uuid4(), "job", TENANT, [of_job]),
            StreamAppend(uuid4(), "job", TENANT, [event(), event(), event()]),
        )
        await sealed_log.store.append(StreamAppend(uuid4(), "job", OTHER_TENANT, [event()]))
    await seal_everything(sealed_log.url, sealed_log.archive)
    return sealed_log


SCOPES = {
    "all": (EventRange(), 75),
    "from a seal's beginning": (EventRange(11), 65),
    "within seals": (EventRange(5, 44), 40),
    "within one seal": (EventRange(12, 14), 3),
    "one event": (EventRange(33, 33), 1),
    "nothing": (EventRange(500), 0),
    "tenant": (Selected("tenant", OTHER_TENANT), 8),
    "nobody's": (Selected("tenant", UUID(int=9)), 0),
    "stream": (Selected("stream", JOB), 4),
    "job": (Selected("correlation", JOB), 8),
}


@pytest.mark.parametrize("suffix", ["", ".tar"])
@pytest.mark.parametrize("case", SCOPES.values(), ids=SCOPES.keys())
async def test_what_is_exported_is_believed_without_a_database(
    job_log: SealedLog, tmp_path: Path, empty: Path, case: tuple[EventRange | Selected, int], suffix: str
) -> None:
    wanted, count = case
    target = tmp_path / f"bundle{suffix}"

    exported = await export(job_log.url, job_log.store, wanted, target, before_release=nothing)

    told = await check(target, empty)
    assert (told.code, exported.events_count, exported.unsealed_count) == (0, count, 0), told.words
    assert f"{count} events" in told.words
    assert KEY in told.words or not count


async def test_one_event_by_its_id_is_proven(job_log: SealedLog, tmp_path: Path, empty: Path) -> None:
    (first, *_) = await job_log.store.read_stream(JOB)

    await export(
        job_log.url, job_log.store, Selected("event", first.event_id), tmp_path / "b", before_release=nothing
    )

    assert (await check(tmp_path / "b", empty)).code == 0
    line = json.loads((tmp_path / "b" / standalone.EVENTS).read_text())
    assert (line["event_id"], base64.b64decode(line["payload"])) == (str(first.event_id), first.payload)


async def test_what_has_no_seal_yet_is_said_to_be_unproven(
    sealed_log: SealedLog, tmp_path: Path, empty: Path
) -> None:
    exported = await export(
        sealed_log.url, sealed_log.store, EventRange(), tmp_path / "b", before_release=nothing
    )

    assert exported.unsealed_count == 5
    told = await check(tmp_path / "b", empty)
    assert (told.code, "5 events have no log seal yet" in told.words) == (standalone.UNSEALED, True)
    assert (await check(tmp_path / "b", empty, "--allow-unsealed")).code == 0


async def test_another_key_than_yours_is_not_believed(
    job_log: SealedLog, tmp_path: Path, empty: Path
) -> None:
    await export(job_log.url, job_log.store, EventRange(), tmp_path / "b", before_release=nothing)

    told = await check(tmp_path / "b", empty, key=OTHER_SIGNER.public_key.hex())

    assert told.code == standalone.WRONG
    assert "none of your keys" in told.words


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], ["--public-key", "xyz", "."]])
def test_arguments_that_name_no_bundle_are_refused(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = standalone.main(arguments)
    except SystemExit as end:
        code = end.code

    assert code in {1, 2}


class TestRelease:
    """A bundle is there whole, or not at all."""

    async def test_nothing_is_replaced(self, sealed_log: SealedLog, tmp_path: Path) -> None:
        (tmp_path / "b").mkdir()

        with pytest.raises(TargetTaken):
            await export(
                sealed_log.url, sealed_log.store, EventRange(), tmp_path / "b", before_release=nothing
            )

    @pytest.mark.parametrize("name", ["b", "b.tar"])
    async def test_a_broken_export_leaves_nothing(
        self, sealed_log: SealedLog, tmp_path: Path, name: str
    ) -> None:
        folder = tmp_path / "out"
        folder.mkdir()

        async def _fail(_: Exported) -> None:
            raise OSError("the audit could not be recorded")

        with pytest.raises(OSError, match="recorded"):
            await export(sealed_log.url, sealed_log.store, EventRange(), folder / name, before_release=_fail)

        assert list(folder.iterdir()) == []

    async def test_a_damaged_log_is_not_exported(self, sealed_log: SealedLog, tmp_path: Path) -> None:
        await sealed_log.force("update es.event_from_1 set actor = 'x' where position = 7")

        with pytest.raises(LogDamaged, match="log seal 1"):
            await export(
                sealed_log.url, sealed_log.store, EventRange(), tmp_path / "b", before_release=nothing
            )

    async def test_what_is_appended_and_sealed_meanwhile_does_no_harm(
        self, sealed_log: SealedLog, tmp_path: Path, empty: Path
    ) -> None:
        async def _seal(_: Exported) -> None:
            await sealed_log.store.append(StreamAppend(uuid4(), "job", TENANT, [event()]))
            await seal_everything(sealed_log.url, sealed_log.archive)

        await export(sealed_log.url, sealed_log.store, EventRange(), tmp_path / "b", before_release=_seal)

        assert (await check(tmp_path / "b", empty, "--allow-unsealed")).code == 0


def remade(folder: Path) -> None:
    """Make manifest and digest fit the files again, as somebody who wants to deceive would."""
    path = folder / standalone.MANIFEST
    manifest = json.loads(path.read_text())
    manifest["files"] = {name: standalone.measured(folder / name) for name in manifest["files"]}
    content = json.dumps(manifest)
    path.write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    (folder / standalone.MANIFEST_DIGEST).write_text(f"{digest}  {standalone.MANIFEST}\n")


def other(value: Any) -> Any:
    """Return something of the same kind that is not the same."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return [*value, "00" * 32]
    return str(UUID(int=5)) if value is None else other_text(value)


def other_text(value: str) -> str:
    """Return another text that can be read as the same kind of thing."""
    for change in (_other_uuid, _other_digits, _other_instant):
        try:
            return change(value)
        except ValueError:
            continue
    return base64.b64encode(b"other").decode() if value.endswith("=") else value + "x"


def _other_uuid(value: str) -> str:
    return str(UUID(int=UUID(value).int ^ 1))


def _other_digits(value: str) -> str:
    return f"{int(value, 16) ^ 1:0{len(value)}x}"


def _other_instant(value: str) -> str:
    return (datetime.fromisoformat(value) + SECOND).isoformat(timespec="microseconds")


def inspected(folder: Path) -> standalone.Inquiry:
    """Check a bundle in this process."""
    inquiry = standalone.Inquiry(folder, frozenset([SIGNER.public_key]))
    try:
        inquiry.run()
    except standalone.Wrong as error:
        inquiry.complaints.append(str(error))
    return inquiry


FIELDS = [
    *((standalone.EVENTS, name) for name in standalone.Event.NAMES),
    *((standalone.SEALS, name) for name in standalone.Seal.NAMES),
    *((standalone.PATHS, name) for name in ("lane", "position", "path")),
]


@pytest_asyncio.fixture
async def bundles(job_log: SealedLog, tmp_path: Path) -> dict[str, Path]:
    """Give a bundle of everything, and one of a job."""
    made: dict[str, Path] = {}
    wanted_of = {"all": EventRange(), "part": EventRange(5, 44), "job": Selected("correlation", JOB)}
    for name, wanted in wanted_of.items():
        made[name] = tmp_path / name
        await export(job_log.url, job_log.store, wanted, made[name], before_release=nothing)
    return made


@pytest.mark.parametrize("which", ["all", "part", "job"])
async def test_a_change_in_any_field_is_found_although_the_manifest_was_made_to_fit(
    bundles: dict[str, Path], which: str
) -> None:
    folder = bundles[which]
    assert inspected(folder).complaints == []
    for file, field in FIELDS:
        original = (folder / file).read_text()
        lines = original.splitlines(keepends=True)
        for at in {0, len(lines) // 2, len(lines) - 1} if lines else set[int]():
            changed = json.loads(lines[at])
            if changed[field] is None and field == "hash":
                continue
            changed[field] = other(changed[field])
            (folder / file).write_text("".join([*lines[:at], json.dumps(changed) + "\n", *lines[at + 1 :]]))
            remade(folder)
            assert inspected(folder).complaints, (file, field, at)
        (folder / file).write_text(original)
        remade(folder)
    assert inspected(folder).complaints == []


@pytest.mark.parametrize("which", ["all", "part", "job"])
@pytest.mark.parametrize("file", [standalone.EVENTS, standalone.SEALS, standalone.PATHS])
async def test_a_line_taken_out_doubled_or_moved_is_found(
    bundles: dict[str, Path], which: str, file: str
) -> None:
    folder = bundles[which]
    original = (folder / file).read_text().splitlines(keepends=True)
    last = len(original) - 1
    for lines in (
        original[:last],
        original[1:],
        [*original[: last // 2], *original[last // 2 + 1 :]],
        [*original, *original[last:]],
        [*original[:-2], *original[:-3:-1]],
    ):
        if lines == original or not original:
            continue
        (folder / file).write_text("".join(lines))
        remade(folder)
        found = inspected(folder)
        assert found.complaints or found.unsealed_count, (file, len(lines))


@pytest.mark.parametrize("file", [*standalone.FILES, standalone.MANIFEST, standalone.MANIFEST_DIGEST])
async def test_one_changed_byte_in_any_file_is_found(bundles: dict[str, Path], file: str) -> None:
    folder = bundles["part"]
    content = (folder / file).read_bytes()
    for at in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
        (folder / file).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        assert inspected(folder).complaints, (file, at)
    (folder / file).unlink()
    assert inspected(folder).complaints


async def test_a_file_too_many_is_found(bundles: dict[str, Path]) -> None:
    (bundles["job"] / "notes.txt").write_text("believe me")

    assert "does not belong here" in inspected(bundles["job"]).complaints[0]


MANIFEST_CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "format": lambda manifest: manifest.update(format="eventstore proof bundle 2"),
    "log": lambda manifest: manifest.update(log_id=str(uuid4())),
    "scope": lambda manifest: manifest.update(scope={"kind": "correlation", "id": str(uuid4())}),
    "kind of scope": lambda manifest: manifest.update(scope={"kind": "stream", "id": str(JOB)}),
    "unknown scope": lambda manifest: manifest.update(scope={"kind": "mood", "id": str(JOB)}),
    "no scope": lambda manifest: manifest.update(scope=None),
    "count of events": lambda manifest: manifest.update(events_count=7),
    "count of seals": lambda manifest: manifest.update(seals_count=True),
    "time": lambda manifest: manifest.update(made_at="yesterday"),
    "a field more": lambda manifest: manifest.update(note="x"),
    "a file less": lambda manifest: manifest["files"].popitem(),
}


@pytest.mark.parametrize("change", MANIFEST_CHANGES.values(), ids=MANIFEST_CHANGES.keys())
async def test_a_manifest_that_says_something_else_is_found(
    bundles: dict[str, Path], change: Callable[[dict[str, Any]], object]
) -> None:
    folder = bundles["job"]
    manifest = json.loads((folder / standalone.MANIFEST).read_text())
    change(manifest)
    content = json.dumps(manifest)
    (folder / standalone.MANIFEST).write_text(content)
    digest = hashlib.sha256(content.encode()).hexdigest()
    (folder / standalone.MANIFEST_DIGEST).write_text(f"{digest}  {standalone.MANIFEST}\n")

    assert inspected(folder).complaints


async def test_a_tar_file_that_breaks_out_of_its_folder_is_refused(tmp_path: Path, empty: Path) -> None:
    (tmp_path / "x").write_text("x")
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        tar.add(tmp_path / "x", "../../escaped")

    assert (await check(tmp_path / "evil.tar", empty)).code == 2
    assert not (tmp_path.parent / "escaped").exists()  # of a test


def test_lines_of_events_that_nobody_wrote_are_wrong() -> None:
    for line in ("", "[]", "{}", '{"lane": 0}', '{"lane": 0, "lane": 0}', "[" * 100_000):
        with pytest.raises(standalone.Wrong):
            standalone.Event(line, "here")


async def test_the_program_and_the_store_agree_on_leaves(job_log: SealedLog) -> None:
    (stored, *_) = await job_log.store.read_stream(JOB)
    for each in (stored, replace(stored, actor="Zoë €", correlation_id=None, payload=b"", schema_version=3)):
        assert standalone.Event(to_line(each, with_hash=False), "here").leaf == leaf(each)
