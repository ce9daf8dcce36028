"""Generate the Python of every .proto beside it, and nothing else.

`protoc` from grpcio-tools writes the messages, mypy-protobuf the stubs. Files without a service lose
their empty `_pb2_grpc` half. Run by `./bolt proto`; CI runs it again and fails on a difference.

Source: docs/adr/0003-generated-code-is-committed.md.
"""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

PROTO_ROOT = Path(__file__).resolve().parent
PLUGINS = Path(sys.executable).parent


def generate() -> None:
    """Write `_pb2.py`, `_pb2.pyi`, and for services `_pb2_grpc.py` and `_pb2_grpc.pyi`."""
    sources = sorted(PROTO_ROOT.glob("directorybolt/**/*.proto"))
    arguments = [
        "protoc",
        f"-I{PROTO_ROOT}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"--plugin=protoc-gen-mypy={PLUGINS / 'protoc-gen-mypy'}",
        f"--plugin=protoc-gen-mypy_grpc={PLUGINS / 'protoc-gen-mypy_grpc'}",
        f"--python_out={PROTO_ROOT}",
        f"--grpc_python_out={PROTO_ROOT}",
        f"--mypy_out=quiet:{PROTO_ROOT}",
        f"--mypy_grpc_out=quiet,only_async:{PROTO_ROOT}",
        *(str(path.relative_to(PROTO_ROOT)) for path in sources),
    ]
    if protoc.main(arguments) != 0:  # pyright: ignore[reportUnknownMemberType]
        raise SystemExit("protoc refused the files above: mend them and run ./bolt proto again")
    for source in sources:
        _drop_empty_grpc_half(source)


def _drop_empty_grpc_half(source: Path) -> None:
    if "\nservice " in source.read_text(encoding="utf-8"):
        return
    for suffix in ("_pb2_grpc.py", "_pb2_grpc.pyi"):
        source.with_name(source.stem + suffix).unlink(missing_ok=True)


if __name__ == "__main__":
    generate()
