"""What a run keeps on disk, what its processes are told, and the arithmetic of restarts."""

from __future__ import annotations

import json
import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from services.runtime.api_key import ApiKey
from stack import environment
from stack.environment import Replica
from stack.errors import AlreadyRunning, StackError
from stack.ports import choose_ports, is_free
from stack.probes import value_said
from stack.state import StateDirectory, fresh_run, runs, state_root
from stack.supervisor import RestartPolicy

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_state_directory_has_one_owner_at_a_time(tmp_path: Path):
    first = StateDirectory(tmp_path / "up")
    await first.claim()
    with pytest.raises(AlreadyRunning, match=rf"already runs on .*up \(process {os.getpid()}\): stop it"):
        await StateDirectory(tmp_path / "up").claim()
    first.release()
    second = StateDirectory(tmp_path / "up")
    assert second.owner() is None
    await second.claim()
    second.release()


def test_keys_are_generated_once_and_readable_by_the_owner_only(tmp_path: Path):
    files = environment.key_files(StateDirectory(tmp_path))
    first = {name: path.read_text() for name, path in files.items()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files.values()} == {0o600}
    assert stat.S_IMODE(files["staff_key"].parent.stat().st_mode) == 0o700
    again = environment.key_files(StateDirectory(tmp_path))
    assert {name: path.read_text() for name, path in again.items()} == first


def test_staff_and_service_keys_have_the_form_of_api_keys(tmp_path: Path):
    files = environment.key_files(StateDirectory(tmp_path))
    for name in ("staff_key", "service_key"):
        key = ApiKey.parse(files[name].read_text())
        assert key is not None
        assert key.text() == files[name].read_text()
    assert len(bytes.fromhex(files["master_key"].read_text())) == 32


async def test_two_runs_have_different_keys(tmp_path: Path):
    keys = set[str]()
    for name in ("one", "two"):
        state = StateDirectory(tmp_path / name)
        await state.claim()
        keys.update(path.read_text() for path in environment.key_files(state).values())
        state.release()
    assert len(keys) == 2 * len(environment.KEYS)


def test_a_fresh_run_is_new_and_only_the_last_ones_are_kept(tmp_path: Path):
    made: list[Path] = []
    for _ in range(5):
        made.append(fresh_run(tmp_path, "demo"))
        (made[-1] / "picture.png").touch()
    assert [path.name for path in made] == ["demo-1", "demo-2", "demo-3", "demo-4", "demo-5"]
    assert [path.exists() for path in made] == [False, False, True, True, True]


async def test_a_running_run_is_never_deleted(tmp_path: Path):
    running = StateDirectory(fresh_run(tmp_path, "demo"))
    await running.claim()
    for _ in range(4):
        fresh_run(tmp_path, "demo")
    assert running.path.exists()
    assert [run.path for run in runs(tmp_path)] == [running.path]
    running.release()


async def test_stack_json_says_who_runs_only_while_somebody_does(tmp_path: Path):
    state = StateDirectory(tmp_path)
    await state.claim()
    state.note({"pid": os.getpid(), "addresses": {"intake": "127.0.0.1:1"}})
    assert json.loads((tmp_path / "stack.json").read_text())["addresses"] == {"intake": "127.0.0.1:1"}
    assert StateDirectory(tmp_path).owner() == os.getpid()
    state.release()
    assert StateDirectory(tmp_path).noted() == {}


def test_the_note_of_a_stack_that_was_killed_says_nothing(tmp_path: Path):
    state = StateDirectory(tmp_path)
    (tmp_path / "lock").touch()
    state.note({"pid": 1, "addresses": {"intake": "127.0.0.1:1"}})
    assert state.noted() == {}
    assert state.owner() is None


def test_the_state_root_is_what_bolt_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("DIRECTORYBOLT_STATE_ROOT", str(tmp_path / "elsewhere"))
    assert state_root() == tmp_path / "elsewhere"
    monkeypatch.delenv("DIRECTORYBOLT_STATE_ROOT")
    monkeypatch.chdir(tmp_path)
    assert state_root() == tmp_path / ".bolt"


def test_chosen_ports_are_free_different_and_below_what_the_kernel_hands_out():
    chosen = choose_ports(20)
    assert len(set(chosen)) == 20
    assert all(20_000 <= port < 32_000 for port in chosen)


def test_ports_of_the_last_run_are_taken_again_unless_one_is_busy():
    last = choose_ports(3)
    assert choose_ports(3, preferred=last) == last
    with socket.create_server(("127.0.0.1", last[1])):
        assert not is_free(last[1])
        assert choose_ports(3, preferred=last) != last
        assert choose_ports(2, preferred=last) != last[:2]


def test_asking_for_more_ports_than_there_are_is_said_in_a_sentence():
    with pytest.raises(StackError, match="free ports"):
        choose_ports(1_000)


def test_the_first_json_line_with_the_key_counts():
    output = 'starting\n{"other": 1}\n{"origin": "http://127.0.0.1:8"}\n{"origin": "later"}\n'
    assert value_said(output, "origin") == "http://127.0.0.1:8"
    assert value_said(output, "absent") is None
    assert value_said('{"origin": "half a li', "origin") is None


def test_pauses_between_restarts_double_up_to_the_last():
    policy = RestartPolicy(restarts_max=9, pause_first_seconds=0.2, pause_seconds_max=1.0)
    assert [policy.pause_seconds(number) for number in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]


def test_every_service_is_told_where_the_first_process_of_each_answers():
    replicas = [
        Replica(name, service, 20_000 + 2 * number, 20_001 + 2 * number)
        for number, (name, service) in enumerate(environment.replica_names(2))
    ]
    assert environment.service_addresses(replicas) == {
        "DIRECTORYBOLT_INTAKE_ADDRESS": "127.0.0.1:20000",
        "DIRECTORYBOLT_SCHEDULER_ADDRESS": "127.0.0.1:20002",
        "DIRECTORYBOLT_SUBMITTER_ADDRESS": "127.0.0.1:20004",
        "DIRECTORYBOLT_MONITOR_ADDRESS": "127.0.0.1:20008",
    }
    assert replicas[3].environment() == {
        "DIRECTORYBOLT_GRPC_PORT": "20006",
        "DIRECTORYBOLT_HEALTH_PORT": "20007",
        "DIRECTORYBOLT_WORKER_ID": "submitter-2",
    }
    assert "DIRECTORYBOLT_WORKER_ID" not in replicas[0].environment()


def test_what_is_withheld_and_what_bypasses_a_proxy(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("NO_PROXY", "internal.example")
    monkeypatch.delenv("no_proxy", raising=False)
    told = environment.inherited()
    assert "AWS_SESSION_TOKEN" not in told
    assert "PYTHONPATH" not in told
    assert told["NO_PROXY"] == "internal.example,127.0.0.1,localhost"
    assert told["no_proxy"] == "127.0.0.1,localhost"
