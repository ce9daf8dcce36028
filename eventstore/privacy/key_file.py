"""A key of 32 bytes in a file of hexadecimal digits that only its owner may read."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_KEY_BYTES: Final = 32


def read_or_create_key(path: Path) -> bytes:
    """Return the key of a file, which is made with a fresh key when there is none.

    Several processes may come here at once: the key is written aside, and the first link wins.
    Errors: ValueError when the file holds no key; OSError.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        fresh.touch(mode=0o600, exist_ok=False)
        fresh.write_text(os.urandom(_KEY_BYTES).hex() + "\n", encoding="ascii")
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{path} holds no key of {_KEY_BYTES} bytes")
    return key
