"""One gRPC interceptor that runs layers around every call, each an asynchronous context.

The whole call, also a stream, runs as one coroutine in one task: so a layer sees how the call ended, also
when the client went away in the middle of a stream, and what it sets in a context variable holds for the
handler. Requests are decoded and answers encoded inside the layers, because gRPC itself would send the
text of a decoding error to the client.
"""

from __future__ import annotations

from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from services.domain.errors import FieldViolation, InvalidArgument
from services.runtime.errors import MethodNotFound

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]

_BUILDERS: Final[Mapping[tuple[bool, bool], tuple[Callable[..., Any], str]]] = {
    (False, False): (grpc.unary_unary_rpc_method_handler, "unary_unary"),
    (False, True): (grpc.unary_stream_rpc_method_handler, "unary_stream"),
    (True, False): (grpc.stream_unary_rpc_method_handler, "stream_unary"),
    (True, True): (grpc.stream_stream_rpc_method_handler, "stream_stream"),
}


@dataclass(slots=True)
class Call:
    """One call on its way through the layers.

    `method` is `package.Service/Method` without a leading slash; `streams` says that the answer is a
    stream. `trace_id` is set by the telemetry layer for those outside of it.
    """

    method: str
    known: bool
    streams: bool
    metadata: Mapping[str, str | bytes]
    context: Context
    trace_id: str = ""


class Layer(Protocol):
    """A concern of every call."""

    def around(self, call: Call) -> AbstractAsyncContextManager[None]:
        """Return the context in which the rest of the call runs."""
        ...


class LayeredInterceptor(grpc.aio.ServerInterceptor):
    """Runs the layers around every call, the first one outermost."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        self._layers = layers

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        """Return the handler of the call with the layers around it; unknown methods get one too."""
        handler = await continuation(handler_call_details)
        name = handler_call_details.method.lstrip("/")
        if handler is None:
            # Streams on both sides: it answers at once, without reading what an unknown caller sends.
            return grpc.stream_stream_rpc_method_handler(self._refuse_unknown(name))
        return self._wrap(handler, name)

    def _wrap(self, handler: Any, name: str) -> Handler:
        build, kind = _BUILDERS[handler.request_streaming, handler.response_streaming]
        # gRPC hands a stream of requests over decoded; a single one we decode ourselves.
        by_grpc = handler.request_deserializer if handler.request_streaming else None
        by_us = None if handler.request_streaming else handler.request_deserializer
        surround = self._many_answers if handler.response_streaming else self._one_answer
        behaviour = getattr(handler, kind)
        return build(surround(name, behaviour, by_us, handler.response_serializer), by_grpc)

    def _one_answer(
        self,
        name: str,
        behaviour: Callable[[Any, Context], Awaitable[Any]],
        decode: Callable[[bytes], Any] | None,
        encode: Callable[[Any], bytes] | None,
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        async def answer(raw: bytes, context: Context) -> bytes:
            async with AsyncExitStack() as stack:
                await self._enter(stack, _call(name, context, streams=False))
                return _encoded(encode, await behaviour(_decoded(decode, raw), context))
            raise AssertionError("a layer swallowed an error")

        return answer

    def _many_answers(
        self,
        name: str,
        behaviour: Callable[[Any, Context], AsyncGenerator[Any]],
        decode: Callable[[bytes], Any] | None,
        encode: Callable[[Any], bytes] | None,
    ) -> Callable[[Any, Context], Awaitable[None]]:
        async def answer(raw: Any, context: Context) -> None:
            async with AsyncExitStack() as stack:
                await self._enter(stack, _call(name, context, streams=True))
                async with aclosing(behaviour(_decoded(decode, raw), context)) as answers:
                    async for each in answers:
                        await context.write(_encoded(encode, each))

        return answer

    def _refuse_unknown(self, name: str) -> Callable[[Any, Context], Awaitable[None]]:
        async def refuse(_: Any, context: Context) -> None:
            async with AsyncExitStack() as stack:
                await self._enter(stack, _call(name, context, streams=True, known=False))
                raise MethodNotFound

        return refuse

    async def _enter(self, stack: AsyncExitStack, call: Call) -> None:
        for layer in self._layers:
            await stack.enter_async_context(layer.around(call))


def _call(name: str, context: Context, *, streams: bool, known: bool = True) -> Call:
    metadata = dict(context.invocation_metadata() or ())
    return Call(method=name, known=known, streams=streams, metadata=metadata, context=context)


def _decoded(decode: Callable[[bytes], Any] | None, raw: Any) -> Any:
    if decode is None:
        return raw
    try:
        return decode(raw)
    except DecodeError:
        violation = FieldViolation("", "the request is not a message of the method's type")
        raise InvalidArgument(violation) from None


def _encoded(encode: Callable[[Any], bytes] | None, answer: Any) -> bytes:
    return answer if encode is None else encode(answer)
