"""What a projection must say of itself so that its read model can be built a second time beside the first.

It names its tables and writes them by bare names. Where they are is decided by whoever runs it, through
search_path: the live projector means the live schema, a rebuild means a schema of its own. Nothing that runs
for a rebuild can therefore touch what is live.

Rows must follow from the positions alone. A projection of several lanes reads them against each other as it
happens: it keeps what each lane says in a table, or in columns, that no other lane writes, and joins them
when they are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString, Protocol, runtime_checkable

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from eventstore.following.projection import Projection

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from eventstore.types import StoredEvent


@runtime_checkable
class Rebuildable(Projection, Protocol):
    """A projection whose tables can be built anew."""

    @property
    def schema(self) -> str:
        """The schema of the live tables."""
        ...

    @property
    def tables(self) -> Sequence[str]:
        """The tables that `apply` writes, all of them, without the schema."""
        ...


@runtime_checkable
class Reshaping(Protocol):
    """A projection whose new version has other columns than the version before it.

    The statements are run whenever the tables are cloned, also from live ones that are so already: say
    `if not exists`.
    """

    @property
    def reshape(self) -> Sequence[LiteralString]:
        """Statements that turn empty tables like the live ones into what this version writes."""
        ...


class BulkFold(Protocol):
    """Rows gathered in memory, for a read model that fits there."""

    def fold(self, page: Sequence[StoredEvent]) -> None:
        """Take some events of one lane, oldest first."""
        ...

    def rows(self) -> Mapping[str, tuple[Sequence[str], Iterable[Sequence[object]]]]:
        """Return, by table, the names of its columns and the rows."""
        ...


@runtime_checkable
class Bulky(Protocol):
    """A projection that can be built in memory and copied in, several times as fast as page by page."""

    def bulk_fold(self) -> BulkFold:
        """Return an empty fold."""
        ...


def conninfo_of_rows(conninfo: str, projection: Projection) -> str:
    """Return the database, with bare names meaning the live tables if the projection says where they are."""
    if not isinstance(projection, Rebuildable):
        return conninfo
    options = str(conninfo_to_dict(conninfo).get("options") or "")
    path = f'-csearch_path="{projection.schema}",pg_temp'
    return make_conninfo(conninfo, options=f"{options} {path}".strip())
