"""SQL is spoken in the log, the read models and the operational tables; elsewhere a connection is lent on."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tidy_tree import is_test, python_files, shown, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DRIVERS = {"psycopg", "psycopg_pool"}
HOMES = (
    *("eventstore/", "services/projections/", "services/runtime/tables/"),
    "stack/postgres",  # makes the database that they live in
)
SPEAKS_SQL = {"execute", "executemany", "copy"}


def strangers() -> list[Path]:
    """Return the modules that have no business with SQL."""
    return [path for path in python_files() if not is_test(path) and not shown(path).startswith(HOMES)]


def guards_types(node: ast.AST) -> bool:
    """Return whether a statement is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def nodes_at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Yield a tree's nodes but for what only the type checker sees."""
    if guards_types(node):
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from nodes_at_run_time(child)


def drivers_imported(tree: ast.AST) -> set[str]:
    """Return the drivers that a module imports when it runs."""
    found: set[str] = set()
    for node in nodes_at_run_time(tree):
        match node:
            case ast.Import(names=names):
                found |= {alias.name.split(".")[0] for alias in names}
            case ast.ImportFrom(module=str(module), level=0):
                found.add(module.split(".")[0])
            case _:
                pass
    return found & DRIVERS


def sql_spoken(tree: ast.AST) -> list[int]:
    """Return the lines on which a module executes something on a connection."""
    return [
        node.lineno
        for node in nodes_at_run_time(tree)
        if isinstance(node, ast.Await)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
        and node.value.func.attr in SPEAKS_SQL
    ]


def test_the_database_driver_is_used_in_its_homes_only() -> None:
    wrong = {shown(path): found for path in strangers() if (found := drivers_imported(tree_of(path)))}

    assert len(strangers()) > 20
    assert wrong == {}, f"import only its types, under TYPE_CHECKING, or move the query: {wrong}"


def test_sql_is_spoken_in_its_homes_only() -> None:
    wrong = {shown(path): lines for path in strangers() if (lines := sql_spoken(tree_of(path)))}

    assert wrong == {}, f"move these to services/projections or services/runtime/tables: {wrong}"


def test_a_type_is_told_from_a_use() -> None:
    guarded = "if TYPE_CHECKING:\n    from psycopg import AsyncConnection\n"

    assert drivers_imported(ast.parse(guarded)) == set()
    assert drivers_imported(ast.parse("import psycopg_pool.abc\n")) == {"psycopg_pool"}
    assert sql_spoken(ast.parse("async def f(c):\n    await c.execute('select 1')\n")) == [2]
