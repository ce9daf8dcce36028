"""Reflection that tools of all ages can use: v1 and v1alpha, for services, types and methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.descriptor import FileDescriptor

NAMES: Final = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


class MethodsToo:
    """The pool of all descriptors, which also finds methods: Python's own knows types and services only."""

    def __init__(self) -> None:
        self._pool: Any = descriptor_pool.Default()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # the pool's own name
        """Return the file of a symbol such as `package.Service.Method`.

        Errors: KeyError when there is none.
        """
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            found = self._pool.FindServiceByName(service)
            if method not in found.methods_by_name:
                raise
            return found.file


def add_reflection(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Let the server tell about these services, and about reflection itself.

    Errors: KeyError when nobody has imported the file that describes a service: no tool could call it.
    """
    pool = MethodsToo()
    for each in services:
        pool.FindFileContainingSymbol(each)
    servicer: Any = reflection.aio.ReflectionServicer([*services, *NAMES], pool)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportAttributeAccessIssue]
    handler: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    # v1 is v1alpha under another name, byte for byte; the library knows only the old one.
    for name in NAMES:
        generic = grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": handler})
        server.add_generic_rpc_handlers((generic,))
