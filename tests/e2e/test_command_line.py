"""The `directorybolt` command as people type it, against a running mesh and without one."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
from typing import TYPE_CHECKING

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError

from sandbox.sample_profile import variant
from services.cli import order
from services.cli.connection import connect
from stack.ports import choose_ports
from tests.e2e.commands import COMMAND, environment, up, written
from tests.e2e.programs import Ended, run, succeeded
from tests.e2e.quiet_store import nothing_stored
from tests.fix_mesh import QUICK, ROOT
from tests.fix_processes import all_gone, descendants, look, needs_proc

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_mesh import RunningMesh

BAKERY = ROOT / "sandbox" / "profiles" / "bakery.json"
ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
#: Far from the variants that other tests use.
TYPED = 2_000_000


async def typed(running: RunningMesh, *words: str | Path) -> Ended:
    """Run the command beside the mesh."""
    return await run(*COMMAND, *words, where=ROOT, environment=environment(running.state_directory.parent))


async def test_help_tells_of_every_command(tmp_path: Path):
    commands = {
        (): "directorybolt submit profile.json --watch   order listings from a running mesh\n",
        ("demo",): "--chaos",
        ("up",): "until Ctrl-C",
        ("submit",): "--directory",
        ("health",): "--json",
        ("explain",): "--position",
    }
    told = await asyncio.gather(
        *(
            succeeded(*COMMAND, *words, "--help", where=ROOT, environment=environment(tmp_path))
            for words in commands
        )
    )
    for ended, words in zip(told, commands.values(), strict=True):
        assert words in ended.output
        assert "\\b" not in ended.output
        assert not ended.errors


async def test_without_a_mesh_the_command_says_how_to_start_one(tmp_path: Path):
    for words in (("health",), ("explain", "jobs/1"), ("submit", str(BAKERY))):
        ended = await run(*COMMAND, *words, where=ROOT, environment=environment(tmp_path))
        assert (ended.code, ended.output) == (3, "")
        assert ended.errors == "Error: No mesh runs here: start one with `./bolt up` in another terminal.\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"business_name": "Crumb', "is no business profile"),
        ('{"busines_name": "Crumb"}', 'no field named "busines_name"'),
        ('{"business_name": ["Crumb"]}', "is no business profile"),
        ("[]", "is no business profile: a JSON object is wanted"),
        ("[" * 100_000, "is no business profile"),
        ("", "is no business profile"),
        ("caf\udce9", "cannot be read"),
    ],
    ids=["cut off", "unknown field", "wrong type", "no object", "too deep", "empty", "not UTF-8"],
)
async def test_a_file_that_is_no_profile_is_refused_before_anything_is_asked(
    mesh: RunningMesh, tmp_path: Path, content: str, words: str
):
    file = tmp_path / "profile.json"
    file.write_text(content, encoding="utf-8", errors="surrogateescape")
    async with nothing_stored(mesh):
        ended = await typed(mesh, "submit", file)
    assert (ended.code, ended.output) == (2, "")
    (line,) = ended.errors.splitlines()
    assert line.startswith(f"Error: {file} ")
    assert words in line


async def test_a_file_that_is_not_there_is_named(mesh: RunningMesh, tmp_path: Path):
    async with nothing_stored(mesh):
        ended = await typed(mesh, "submit", tmp_path / "nowhere.json")
    assert (ended.code, ended.output) == (2, "")
    assert "nowhere.json' does not exist" in ended.errors


async def test_what_the_mesh_refuses_is_one_sentence_and_exit_code_1(mesh: RunningMesh, tmp_path: Path):
    business = variant(TYPED)
    known = await typed(
        mesh, "submit", written(tmp_path, business), "--directory", "sandbox-plain", "--watch"
    )
    assert known.code == 0, known.errors
    async with nothing_stored(mesh):
        unknown = await typed(mesh, "submit", written(tmp_path, business), "--directory", "yellow-pages")
        business.phone = "call me"
        malformed = await typed(mesh, "submit", written(tmp_path, business))
    for ended in (unknown, malformed):
        assert (ended.code, ended.output, len(ended.errors.splitlines())) == (1, "", 1)
    assert unknown.errors == "NOT_FOUND: not in the catalogue: directories/yellow-pages\n"
    assert "INVALID_ARGUMENT: phone: is no telephone number: write +1 555 0100" in malformed.errors


async def test_submit_follows_a_job_through_all_sites_in_plain_lines(mesh: RunningMesh):
    ended = await typed(mesh, "submit", BAKERY, "--watch")
    assert ended.code == 0, ended.errors
    first, *lines = ended.output.splitlines()
    assert re.fullmatch(r"customers/[0-9a-f-]{36}/jobs/[0-9a-f-]{36} accepted", first)
    shape = re.compile(
        r" *\d+\.\ds  sandbox-[a-z]+ +[a-z -]+ (attempt \d+)? *(choosing directories|\d of 9 settled)"
    )
    assert [line for line in lines if not shape.fullmatch(line)] == []
    assert lines[-1].endswith("9 of 9 settled")
    assert ESCAPE not in ended.output
    assert ended.errors == ""


async def test_json_answers_are_json_and_nothing_else(mesh: RunningMesh, tmp_path: Path):
    file = written(tmp_path, variant(TYPED + 1))
    ordered = await typed(mesh, "submit", file, "--directory", "sandbox-plain", "--json")
    health = await typed(mesh, "health", "--json")
    assert json.loads(ordered.output)["state"] == "JOB_STATE_ACCEPTED"
    assert json.loads(health.output)["workers_alive"] == 2
    assert (ordered.code, health.code, ordered.errors, health.errors) == (0, 0, "", "")


async def test_a_state_is_told_event_by_event(mesh: RunningMesh, tmp_path: Path):
    file = written(tmp_path, variant(TYPED + 2))
    ordered = await typed(mesh, "submit", file, "--directory", "sandbox-plain", "--json")
    name = json.loads(ordered.output)["name"]

    told = await typed(mesh, "explain", name)
    early = await typed(mesh, "explain", name, "--at", "2020-01-01T00:00:00Z")
    answer = await typed(mesh, "explain", name, "--json")

    assert told.output.startswith(f"jobs/{name.rpartition('/')[2]}: ")
    assert "JobAccepted" in told.output
    assert "state                nothing → accepted" in told.output
    assert (early.code, early.output) == (1, "")
    assert "NOT_FOUND" in early.errors
    assert json.loads(answer.output)["state"]["steps"][0]["event_type"] == "JobAccepted"
    assert (told.code, answer.code, told.errors, answer.errors) == (0, 0, "", "")


async def on_a_terminal(running: RunningMesh, *words: str, **more: str) -> str:
    """Run the command with a terminal for its output, and return what the terminal got."""
    ours, theirs = pty.openpty()
    program = await asyncio.create_subprocess_exec(
        *COMMAND,
        *words,
        cwd=ROOT,
        env=environment(running.state_directory.parent, TERM="xterm-256color", **more),
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        shown = await asyncio.to_thread(_all_of, terminal.fileno())
    assert await program.wait() == 0, shown
    return shown


def _all_of(terminal: int) -> str:
    shown = b""
    try:
        while piece := os.read(terminal, 4096):
            shown += piece
    except OSError:
        # How Linux says that nobody writes any more.
        pass
    return shown.decode()


async def test_a_terminal_gets_colours_unless_no_color_is_set(mesh: RunningMesh):
    coloured, plain = await asyncio.gather(
        on_a_terminal(mesh, "health"), on_a_terminal(mesh, "health", NO_COLOR="1")
    )
    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    assert "workers" in plain


@needs_proc
async def test_up_serves_the_other_commands_until_ctrl_c_and_leaves_nothing(tmp_path: Path):
    told = environment(tmp_path, **QUICK)
    file = written(tmp_path, variant(TYPED + 2))
    async with up(told) as (program, said):
        submitted = await succeeded(
            *COMMAND, "submit", file, "--directory", "sandbox-plain", "--watch", where=ROOT, environment=told
        )
        second = await run(*COMMAND, "up", where=ROOT, environment=told)
        family = descendants(program.pid)
        program.send_signal(signal.SIGINT)
        _, errors = await program.communicate()
        assert (program.returncode, errors.decode()) == (130, "stopped\n")
    assert await all_gone(family) == []
    assert look(program.pid) is None
    assert submitted.output.splitlines()[-1].endswith("1 of 1 settled")
    assert second.code == 1
    assert re.fullmatch(r"a stack already runs on .*: stop it first, .*\n", second.errors)
    assert ESCAPE not in said


async def test_watching_a_mesh_that_is_gone_ends_with_an_error():
    (port,) = choose_ports(1)
    async with connect(f"127.0.0.1:{port}", "dbk_none_none") as connection:
        with pytest.raises(AioRpcError) as failed:
            _ = [news async for news in order.watch(connection, "any", reconnects_max=3, pause_seconds=0.01)]
    assert failed.value.code() is StatusCode.UNAVAILABLE
