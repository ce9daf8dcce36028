"""Choose TCP ports that stay ours from the choice until the server binds.

The choice lies below the range from which the kernel gives ports to whoever asks for any (32768 on Linux,
49152 on macOS), so that no other program is handed it in between.
"""

from __future__ import annotations

import secrets
import socket

from stack.errors import StackError

PORT_FIRST = 20_000
PORT_LAST = 32_000
TRIES_MAX = 200


def is_free(port: int) -> bool:
    """Tell whether nobody listens on 127.0.0.1:port."""
    with socket.socket() as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            asked.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose_ports(count: int, *, preferred: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Return `count` different free ports; `preferred` when all of them are free.

    Errors: StackError when the machine has none left.
    """
    if len(preferred) == count and all(map(is_free, preferred)):
        return preferred
    chosen: list[int] = []
    for _ in range(TRIES_MAX):
        port = PORT_FIRST + secrets.randbelow(PORT_LAST - PORT_FIRST)
        if port not in chosen and is_free(port):
            chosen.append(port)
        if len(chosen) == count:
            return tuple(chosen)
    raise StackError(f"found no {count} free ports between {PORT_FIRST} and {PORT_LAST} on 127.0.0.1")
