"""The line to the gateway: what it does when streams break, end, fall silent, or never open."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import grpc
import pytest
from directorybolt.gateway.v1 import append_service_pb2 as wire

from services.runtime import gateway_line
from services.runtime.gateway_line import GatewayLine
from services.runtime.gateway_queue import GatewayAway

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


class Script:
    """A stub whose streams do as told: `refuse` to open, `answer`, stay `silent`, `end`, or `break`."""

    def __init__(self, *streams: str) -> None:
        self._streams = list(streams)
        self.opened: list[str] = []
        self.sent: list[list[int]] = []

    def Append(self, **_: Any) -> ScriptedStream:
        """Open the next stream; the last one is opened again and again."""
        kind = self._streams.pop(0) if len(self._streams) > 1 else self._streams[0]
        self.opened.append(kind)
        return ScriptedStream(self, kind)


class ScriptedStream:
    """A stream with a will of its own."""

    def __init__(self, script: Script, kind: str) -> None:
        self._script = script
        self._kind = kind
        self._said: asyncio.Queue[wire.AppendResponse] = asyncio.Queue()
        self._said.put_nowait(wire.AppendResponse())

    async def read(self) -> Any:
        """Greet, then do what the script says."""
        if self._kind == "refuse":
            raise ConnectionRefusedError
        response = await self._said.get()
        if response.answers and self._kind == "end":
            return grpc.aio.EOF
        if response.answers and self._kind == "break":
            raise ZeroDivisionError
        if response.answers and self._kind == "silent":
            await asyncio.Event().wait()
        return response

    async def write(self, message: wire.AppendRequest) -> None:
        """Note what was sent, and have an answer ready."""
        numbers = [each.number for each in message.appends]
        self._script.sent.append(numbers)
        answers = [wire.Answer(number=number) for number in numbers]
        self._said.put_nowait(wire.AppendResponse(answers=answers))

    def cancel(self) -> Self:
        """End."""
        return self


def _given(script: Script, channel: object) -> Script:
    del channel
    return script


@asynccontextmanager
async def line_on(script: Script, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[GatewayLine]:
    """Open a line whose streams are scripted, with short patience."""
    monkeypatch.setattr(gateway_line, "AppendServiceStub", partial(_given, script))
    monkeypatch.setattr(gateway_line, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(gateway_line, "DRAIN_SECONDS_MAX", 0.1)
    async with asyncio.timeout(20), GatewayLine.open("127.0.0.1:1", "key") as line:
        yield line


async def ask(line: GatewayLine) -> int:
    """Ask for something and return the number of the answer."""
    return (await line.ask(wire.LedgerAppend(number=line.next_number()))).number


async def answered(line: GatewayLine) -> int:
    """Ask until there is an answer."""
    while True:
        try:
            return await ask(line)
        except GatewayAway:
            await asyncio.sleep(0.01)


async def test_what_is_asked_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script("answer")
    async with line_on(script, monkeypatch) as line:
        assert sorted(await asyncio.gather(*(ask(line) for _ in range(5)))) == [1, 2, 3, 4, 5]

    assert script.opened == ["answer"]
    assert [number for numbers in script.sent for number in numbers] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("kind", ["end", "break", "refuse"])
async def test_without_an_answer_it_is_sent_again_on_the_next_stream(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(kind, "answer")
    async with line_on(script, monkeypatch) as line:
        assert await asyncio.gather(ask(line), ask(line)) == [1, 2]
        assert not line.is_away

    assert script.opened == [kind, "answer"]
    assert script.sent[-1] == [1, 2]


async def test_a_silent_gateway_is_given_up_and_taken_back_when_it_speaks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with line_on(Script("silent", "answer"), monkeypatch) as line:
        with pytest.raises(GatewayAway):
            await ask(line)
        assert line.is_away
        with pytest.raises(GatewayAway):
            await ask(line)

        assert await answered(line) > 2
        assert not line.is_away


async def test_a_gateway_with_nothing_to_say_is_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    async with line_on(Script("answer"), monkeypatch) as line:
        await ask(line)
        await asyncio.sleep(0.01 * (gateway_line.SILENT_LOOKS_MAX + 4))

        assert not line.is_away


async def test_a_gateway_that_never_opens_is_given_up_for_all_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway_line, "GONE_SECONDS_MAX", 0.05)
    async with line_on(Script("end", "refuse"), monkeypatch) as line:
        refused = await asyncio.gather(*(ask(line) for _ in range(3)), return_exceptions=True)

        assert [type(each) for each in refused] == [GatewayAway] * 3
        assert line.is_away


async def test_a_gateway_that_is_not_there_at_the_start_is_waited_for_and_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gateway_line, "OPEN_SECONDS_MAX", 0.05)
    async with line_on(Script("refuse"), monkeypatch) as line:
        assert line.is_away
        with pytest.raises(GatewayAway):
            await ask(line)


async def test_who_still_waits_when_the_line_closes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_line, "SILENT_LOOKS_MAX", 1_000)
    async with line_on(Script("silent"), monkeypatch) as line:
        waiting = asyncio.create_task(ask(line))
        await asyncio.sleep(0)

    with pytest.raises(GatewayAway):
        await waiting
