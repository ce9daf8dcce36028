#!/usr/bin/env python3
"""Run a command under a Docker seccomp profile as an ordinary user, with no Docker.

`run_under_seccomp.py PROFILE [--without NAME]… -- COMMAND…` compiles the profile with libseccomp, becomes
`nobody` when it is root, loads the filter, and turns into the command.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
from pathlib import Path
from typing import Any

ACT_ALLOW = 0x7FFF0000
ACT_ERRNO = 0x00050000
CMP_EQ = 4
NOBODY = 65534


class Comparison(ctypes.Structure):
    """libseccomp's scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


def library() -> ctypes.CDLL:
    """Return libseccomp with the types of what is used of it."""
    loaded = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    loaded.seccomp_init.restype = ctypes.c_void_p
    loaded.seccomp_init.argtypes = [ctypes.c_uint32]
    loaded.seccomp_rule_add_array.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint32,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.POINTER(Comparison),
    ]
    loaded.seccomp_load.argtypes = [ctypes.c_void_p]
    return loaded


def add_rules(loaded: ctypes.CDLL, context: int, entry: dict[str, Any], without: set[str]) -> None:
    """Allow the calls of one entry; names of other architectures are passed over."""
    wanted = [Comparison(each["index"], CMP_EQ, each["value"], 0) for each in entry.get("args", ())]
    for name in set(entry["names"]) - without:
        number = loaded.seccomp_syscall_resolve_name(name.encode())
        if number < 0:
            continue
        array = (Comparison * len(wanted))(*wanted)
        if loaded.seccomp_rule_add_array(context, ACT_ALLOW, number, len(wanted), array) != 0:
            raise SystemExit(f"libseccomp refuses the rule for {name}")


def load(profile: Path, without: set[str]) -> None:
    """Bind this process, and all that it becomes, to the profile."""
    loaded = library()
    content: dict[str, Any] = json.loads(profile.read_text(encoding="utf-8"))
    context = loaded.seccomp_init(ACT_ERRNO | content["defaultErrnoRet"])
    for entry in content["syscalls"]:
        add_rules(loaded, context, entry, without)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if loaded.seccomp_load(context) != 0:
        raise SystemExit("the kernel refuses the filter")


def main() -> None:
    """Read the arguments, load the profile, become the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("profile", type=Path)
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = [word for word in arguments.command if word != "--"]
    load(arguments.profile, set(arguments.without))
    os.execvp(command[0], command)  # noqa: S606 - the filter must bind the command itself


if __name__ == "__main__":
    main()
