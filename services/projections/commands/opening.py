"""What every verb needs: the read model that was named, and the instants and positions that were."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from eventstore.postgres import PostgresEventStore
from eventstore.rebuild.read_model import ReadModel
from eventstore.types import Position
from services.domain.errors import InvalidArgument
from services.projections.registry import registered
from services.runtime.archive_storage import open_archive
from services.runtime.clock import SystemClock
from services.runtime.config import Environment, TimingConfig
from services.runtime.tokens import TokenSealer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from rich.progress import TaskID

    from eventstore.rebuild.progress import RebuildProgress

ARCHIVE_URL: Final = "DIRECTORYBOLT_ARCHIVE_URL"
TOKEN_KEY_FILE: Final = "DIRECTORYBOLT_TOKEN_KEY_FILE"  # noqa: S105  # the name of a variable

#: The name of a read model, as an argument.
read_model_name = click.argument("name", metavar="NAME")


@asynccontextmanager
async def open_model(database_url: str, name: str) -> AsyncGenerator[ReadModel]:
    """Open the log, archived events included, and name the read model.

    Errors: click.UsageError when there is no such read model; StoreUnavailable, NoSuchStorage.
    """
    environment = Environment()
    known = registered(TimingConfig.read(environment))
    if name not in known:
        raise click.UsageError(f"there is no read model '{name}', but {', '.join(sorted(known))}")
    owned = known[name]
    async with (
        open_archive(environment.text(ARCHIVE_URL, "")) as cold,
        PostgresEventStore.open(database_url, cold=cold) as store,
    ):
        yield ReadModel(store, database_url, owned.projection, owned.role)


class Instant(click.ParamType[datetime]):
    """An instant of ISO 8601; without an offset it is UTC, as everything that is printed here."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return the instant that was meant."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"'{value}' is no instant like 2026-11-23T14:05:00Z", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class LogPosition(click.ParamType[Position]):
    """A position: a token as the API gives it, a number of the ledger, or lane:number."""

    name = "position"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Position:
        """Return the position that was meant."""
        if isinstance(value, Position):
            return value
        lane, _, number = str(value).rpartition(":")
        try:
            return Position(int(lane or 0), int(number))
        except ValueError:
            return self._of_token(str(value), param, ctx)

    def _of_token(self, token: str, param: click.Parameter | None, ctx: click.Context | None) -> Position:
        environment = Environment()
        if not environment.text(TOKEN_KEY_FILE, ""):
            self.fail(f"'{token}' is no number; for a token, name its key in {TOKEN_KEY_FILE}", param, ctx)
        try:
            sealer = TokenSealer(environment.secret(TOKEN_KEY_FILE), SystemClock())
            return sealer.read_position(token, field="position")[0]
        except (InvalidArgument, IndexError):
            self.fail(f"'{token}' is no token that {TOKEN_KEY_FILE} opens", param, ctx)


@dataclass(slots=True)
class Bar:
    """A progress bar on the terminal; nothing where nobody looks."""

    progress: Progress
    task: TaskID | None = None

    @classmethod
    def make(cls) -> Bar:
        """Return a bar that is not shown yet: enter its `progress`."""
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
        )
        return cls(Progress(*columns, console=console, disable=not console.is_terminal, transient=True))

    def show(self, now: RebuildProgress) -> None:
        """Show how far it is."""
        left = now.seconds_left
        rate = f"{now.per_second:,.0f}/s, {'' if left is None else f'{left:,.0f} s left'}"
        if self.task is None:
            self.task = self.progress.add_task("reading the log", rate=rate)
        self.progress.update(self.task, completed=now.done, total=now.total, rate=rate)
