"""The read models for operators: where they are, built again, compared with what was built.

Building needs a login that owns the tables; it writes rows in a role that has rights in the tables being
built and nowhere else. Which tables are live is decided on the command line only.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from directorybolt.monitor.v1 import projections_pb2 as pb

from eventstore.following.why_behind import why_behind
from eventstore.rebuild.difference import ROWS_MAX
from eventstore.rebuild.read_model import ReadModel
from services.domain.errors import ProjectionNotFound
from services.monitor.projection_desk_views import difference_view, progress_view, projection_view, token_of
from services.projections.rebuilding import difference, rebuilding
from services.runtime import arguments

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from eventstore.store import EventStore
    from services.projections.reading import Reads
    from services.projections.registry import Owned
    from services.runtime.tokens import TokenSealer

ROWS_MOST: Final = 200
_COLLECTION: Final = "projections/"


@dataclass(frozen=True, slots=True)
class ProjectionDesk:
    """Works on the read models of one database; `rebuild_url` names it as an owner of the tables does."""

    store: EventStore
    reads: Reads
    sealer: TokenSealer
    rebuild_url: str
    known: Mapping[str, Owned]

    async def list(self) -> pb.ListProjectionsResponse:
        """Return every read model that has been moved, by name.

        Errors: StoreDown.
        """
        async with self.reads.of_all() as connection:
            standings = await why_behind(connection)
        return pb.ListProjectionsResponse(
            projections=[projection_view(each, self.sealer) for each in standings if each.name in self.known]
        )

    async def rebuild(
        self, request: pb.RebuildProjectionRequest
    ) -> AsyncGenerator[pb.RebuildProjectionResponse]:
        """Build a read model and yield how far it is.

        Errors: ProjectionNotFound, ProjectionStateForbids, StoreDown.
        """
        model, last = self._model(request.name), None
        async with aclosing(rebuilding(model, start_over=request.start_over)) as progress:
            async for each in progress:
                yield progress_view(each)
                last = each
        if last is not None:
            done = progress_view(last)
            done.position = token_of(last.positions, self.sealer)
            yield done

    async def diff(self, request: pb.DiffProjectionRequest) -> pb.DiffProjectionResponse:
        """Compare a read model with what was built beside it.

        Errors: InvalidArgument, ProjectionNotFound, ProjectionStateForbids, StoreDown.
        """
        asked = arguments.natural(request.rows_max, "rows_max")
        found = await difference(self._model(request.name), min(asked or ROWS_MAX, ROWS_MOST))
        return difference_view(found, self.sealer)

    def _model(self, name: str) -> ReadModel:
        owned = self.known.get(name.removeprefix(_COLLECTION))
        if owned is None or not name.startswith(_COLLECTION):
            raise ProjectionNotFound
        return ReadModel(self.store, self.rebuild_url, owned.projection, owned.role)
