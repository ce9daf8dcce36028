"""Become another program, tied to the life of the parent: the first breath of every child.

Run as `python -I -S launch.py PARENT_PID DEATH_SIGNAL UID GID -- PROGRAM …`. A program of its own and not
a `preexec_fn`, because Python code between fork and exec can hang in a process that has threads, and gRPC
has. The parent-death signal is asked for after the user id has changed, since the change clears it.

Source: prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
KEEP = -1


def main(arguments: list[str]) -> None:
    """Drop to the user, ask for the death signal, and exec the program."""
    parent, signal_number, uid, gid = (int(each) for each in arguments[:4])
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    if uid != KEEP:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if prctl is not None:
        prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the supervisor ended before its child began")
    program = arguments[5:]
    os.execvp(program[0], program)  # noqa: S606  # a shell would be one process too many


if __name__ == "__main__":
    main(sys.argv[1:])
