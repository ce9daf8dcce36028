"""Who runs Postgres: ourselves, or `nobody` when we are root, since Postgres refuses to run as root.

No user is made and no parent directory is opened for it: what `nobody` cannot reach is put elsewhere
(see postgres_home.py).
"""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stack.errors import StackError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Account:
    """A user id and its group that a child process takes on."""

    uid: int
    gid: int

    def reaches(self, path: Path) -> bool:
        """Tell whether the account may enter a directory, or read a file (mode bits; ACLs are not seen)."""
        resolved = path.resolve()
        last = stat.S_IXOTH if resolved.is_dir() else stat.S_IROTH
        return all(self._may(each, stat.S_IXOTH) for each in resolved.parents) and self._may(resolved, last)

    def _may(self, path: Path, bit: int) -> bool:
        found = path.stat()
        if found.st_uid == self.uid:
            return bool(found.st_mode & (bit << 6))
        return bool(found.st_mode & bit)


def unprivileged_account() -> Account | None:
    """Return `nobody` when this process is root; None, meaning "as we are", otherwise.

    Errors: StackError when root has no `nobody` to become.
    """
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise StackError(
            "Postgres does not run as root and this machine has no user `nobody`: "
            "run as an ordinary user, or set DATABASE_URL"
        ) from None
    return Account(nobody.pw_uid, nobody.pw_gid)
