"""`python -m services.projections`: what operators type, what they read, and the exit codes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import conninfo_to_dict

from eventstore.following.projector import Projector
from eventstore.postgres import PostgresEventStore
from eventstore.types import Position
from services.projections.__main__ import cli
from services.projections.registry import registered
from services.runtime.clock import SystemClock
from services.runtime.config import Environment, TimingConfig
from services.runtime.tokens import TokenSealer
from tests.doubles.random_history import happen, random_history
from tests.fix_intake import TOKEN_KEY, postgres_cluster, services_template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from stack.postgres import EmbeddedPostgres

__all__ = ["postgres_cluster", "services_template"]


async def prepare(url: str) -> None:
    """Let a history happen, and the jobs' read model follow it."""
    async with PostgresEventStore.open(url) as store:
        await happen(store, random_history(Random(5), 5))  # noqa: S311 - a history, no secret
        owned = registered(TimingConfig.read(Environment({})))["jobs"]
        follower = Projector(store, url, owned.projection, role=owned.role)
        async with asyncio.timeout(30), follower.running():
            await follower.wait_until(await store.head())


async def execute(url: str, statement: bytes) -> None:
    """Execute a statement as the owner."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(statement)


@pytest.fixture
def url(postgres_cluster: EmbeddedPostgres, services_template: str) -> Iterator[str]:
    """Give a database in which jobs happened."""
    cloned = asyncio.run(postgres_cluster.clone_database(services_template))
    asyncio.run(prepare(cloned))
    yield cloned
    asyncio.run(postgres_cluster.drop_database(str(conninfo_to_dict(cloned)["dbname"])))


def typed(url: str, *words: str, **variables: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(cli, words, env={"DATABASE_URL": url, **variables})


def said(url: str, *words: str, **variables: str) -> Any:
    """Return the JSON that a command prints."""
    result = typed(url, *words, "--json", **variables)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_read_model_is_rebuilt_compared_swapped_and_swapped_back(url: str) -> None:
    [live] = said(url, "list")
    assert (live["name"], live["which"], live["behind"]) == ("jobs", "live", 0)

    [built] = said(url, "rebuild", "jobs")
    assert built["position"] == live["position"]
    assert {row["which"] for row in said(url, "list")} == {"live", "rebuilt beside it"}
    assert said(url, "diff", "jobs")["same"] is True
    assert "yes" in typed(url, "diff", "jobs").stdout

    assert typed(url, "swap", "jobs").exit_code == 0
    assert {row["which"] for row in said(url, "list")} == {"live", "retired by a swap"}
    assert typed(url, "back", "jobs").exit_code == 0
    assert typed(url, "drop-retired", "jobs").exit_code == 0
    assert [row["which"] for row in said(url, "list")] == ["live"]


def test_a_difference_is_shown_with_both_values_and_exit_code_1(url: str) -> None:
    typed(url, "rebuild", "jobs")
    asyncio.run(
        execute(
            url,
            b"update intake.job set priority = 9"
            b" where job_id = (select min(job_id::text)::uuid from intake.job)",
        )
    )

    told = typed(url, "diff", "jobs")
    counted = typed(url, "diff", "jobs", "--json")

    assert (told.exit_code, counted.exit_code) == (1, 1)
    assert "priority: 9 live, " in told.stdout
    [row] = json.loads(counted.stdout)["tables"][0]["rows"]
    assert row["columns"]["priority"][0] == 9
    assert typed(url, "rebuild", "jobs", "--again").exit_code == 0
    assert typed(url, "abandon", "jobs").exit_code == 0


def test_a_read_model_is_shown_as_of_a_number_a_token_and_an_instant(url: str, tmp_path: Path) -> None:
    now = said(url, "as-of", "jobs", "--position", said(url, "list")[0]["position"])
    middle = sorted(int(row["accepted_position"]) for row in now)[len(now) // 2]
    key = tmp_path / "key"
    key.write_text(TOKEN_KEY)
    token = TokenSealer(TOKEN_KEY.encode(), SystemClock()).position_token(Position(0, middle))

    by_number = said(url, "as-of", "jobs", "--position", str(middle))
    by_token = said(url, "as-of", "jobs", "--position", token, DIRECTORYBOLT_TOKEN_KEY_FILE=str(key))
    newest = max(by_number, key=lambda row: row["accepted_position"])
    by_instant = said(url, "as-of", "jobs", "--at", newest["created_at"])
    by_csv = typed(url, "as-of", "jobs", "--position", str(middle), "--csv")
    asked = said(
        url, "as-of", "jobs", "--position", str(middle), "--query", "select count(*) as jobs from job"
    )

    assert len(by_number) == len(now) // 2 + 1
    assert by_number == by_token == by_instant
    assert [row["job_id"] for row in csv.DictReader(io.StringIO(by_csv.stdout))] == [
        r["job_id"] for r in by_number
    ]
    assert asked == [{"jobs": len(by_number)}]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("diff", "jobs"), 3, "nothing is built beside jobs: rebuild it first"),
        (("back", "jobs"), 3, "there are no retired tables of jobs"),
        (("rebuild", "sheep"), 2, "there is no read model 'sheep', but alerts, catalogue"),
        (("as-of", "jobs"), 2, "say --at or --position"),
        (("as-of", "jobs", "--at", "tea time"), 2, "no instant like"),
        (("as-of", "jobs", "--position", "x"), 2, "DIRECTORYBOLT_TOKEN_KEY_FILE"),
        (("as-of", "jobs", "--position", "999999"), 3, "has no position 999999"),
        (("as-of", "jobs", "--position", "1", "--table", "sheep"), 2, "no table 'sheep', but job"),
        (("as-of", "jobs", "--position", "1", "--query", "delete from job"), 3, "read-only"),
        (("as-of", "jobs", "--position", "1", "--query", "select * from intake.job"), 3, "permission denied"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    url: str, words: tuple[str, ...], code: int, sentence: str
) -> None:
    result = typed(url, *words)

    assert result.exit_code == code
    assert sentence in " ".join(result.output.split())


def test_every_verb_explains_itself() -> None:
    for name, command in cli.commands.items():
        assert command.help, name
        result = CliRunner().invoke(cli, [name, "-h"])
        assert result.exit_code == 0
        assert len(result.output.split("Options:")[0]) > 80
