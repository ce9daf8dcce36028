"""Checks of who may do what: exactly what the migrations grant, nobody else in the owner's place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding, Severity
from eventstore.care.intended import functions_of, grants_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventstore.care.check import Rows
    from eventstore.care.intended import Function, Grant
    from eventstore.migrate import Migration

OWNER: Final = "es_owner"

_GRANTS: Final = """
with given as (
  select n.nspname || '.' || c.relname as on_what, a.grantee, lower(a.privilege_type) as privilege
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  cross join lateral aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
  where n.nspname in ('es', 'vault') and a.grantee <> c.relowner
    and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  union
  select n.nspname || '.' || c.relname, a.grantee, lower(a.privilege_type) || ' (columns)'
  from pg_attribute t
  join pg_class c on c.oid = t.attrelid
  join pg_namespace n on n.oid = c.relnamespace
  cross join lateral aclexplode(t.attacl) a
  where n.nspname in ('es', 'vault') and a.grantee <> c.relowner
  union
  select n.nspname || '.' || p.proname, a.grantee, lower(a.privilege_type)
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  cross join lateral aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
  where n.nspname in ('es', 'vault') and a.grantee <> p.proowner and p.prorettype <> 'trigger'::regtype
)
select on_what, coalesce(r.rolname, 'public') as grantee, privilege,
       array(select m.rolname::text from pg_roles m
             where r.oid is not null and m.oid <> r.oid and pg_has_role(r.oid, m.oid, 'usage')) as member_of
from given left join pg_roles r on r.oid = grantee
order by 1, 2, 3
"""
_FUNCTIONS: Final = """
select n.nspname || '.' || p.proname as name, p.prosrc as body, p.prosecdef as definer,
       pg_get_userbyid(p.proowner) as owner,
       coalesce(p.proconfig::text, '') like '%%search_path=%%' as path_is_fixed
from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('es', 'vault')
order by 1
"""
_OWNERS: Final = """
select c.oid::regclass::text as name, pg_get_userbyid(c.relowner) as owner
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('es', 'vault') and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  and c.oid <> 'es.migration'::regclass
order by 1
"""
_IN_OWNERS_PLACE: Final = """
select r.rolname as name, r.rolcanlogin as may_log_in, r.rolname = 'es_owner' as is_owner,
       pg_has_role(r.oid, 'es_owner', 'member') as is_member
from pg_roles r
where not r.rolsuper and (
  r.rolname = 'es_owner' and r.rolcanlogin
  or r.rolcanlogin and pg_has_role(r.oid, 'pg_write_all_data', 'member')
  or r.rolname <> 'es_owner' and pg_has_role(r.oid, 'es_owner', 'member')
     and r.oid <> (select relowner from pg_class where oid = 'es.migration'::regclass)
     and r.oid <> (select datdba from pg_database where datname = current_database())
)
order by 1
"""
_CREATORS: Final = """
select n.nspname as name, coalesce(r.rolname, 'public') as grantee
from pg_namespace n
cross join lateral aclexplode(n.nspacl) a
left join pg_roles r on r.oid = a.grantee
where n.nspname in ('es', 'vault') and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
  and r.rolname is distinct from 'es_owner'
order by 1, 2
"""


def judge_grants(intended: Sequence[Grant], rows: Rows) -> Iterator[Finding]:
    """Find rights that nobody meant to give, and rights that are missing."""
    meant = {(each.on_what, each.grantee, each.privilege) for each in intended}
    given = {(row["on_what"], row["grantee"], row["privilege"]) for row in rows}
    # Who is a member of a role that is meant to have a right gains nothing by having it twice.
    twice = {
        (row["on_what"], row["grantee"], row["privilege"])
        for row in rows
        if any((row["on_what"], role, row["privilege"]) in meant for role in row["member_of"])
    }
    for on_what, grantee, privilege in sorted(given - meant - twice):
        bare = privilege.removesuffix(" (columns)")
        yield Finding(
            f"{grantee} may {bare}, and no migration gave it that right",
            on_what,
            f"as es_owner: revoke {bare} on {_kind(bare)}{on_what} from {grantee}; then ask who granted it",
        )
    for on_what, grantee, privilege in sorted(meant - given):
        bare = privilege.removesuffix(" (columns)")
        yield Finding(
            f"{grantee} may not {bare}, which it needs",
            on_what,
            f"as es_owner: grant {bare} on {_kind(bare)}{on_what} to {grantee}",
        )


def _kind(privilege: str) -> str:
    return "function " if privilege == "execute" else ""


def judge_functions(intended: Mapping[str, Function], rows: Rows) -> Iterator[Finding]:
    """Find functions that are not what the migrations made."""
    for row in rows:
        function = intended.get(row["name"])
        if function is None:
            said = "no migration made this function"
        elif row["body"] != function.body:
            said = "the function's text is not the migration's"
        elif row["definer"] != function.definer:
            said = f"SECURITY DEFINER must be {'on' if function.definer else 'off'}"
        elif row["definer"] and not row["path_is_fixed"]:
            said = "its search_path is not fixed: whoever calls it could slip in tables of his own"
        elif row["owner"] != OWNER:
            said = f"{row['owner']} owns it, not {OWNER}"
        else:
            continue
        yield _function(row["name"], said)
    for name in sorted(intended.keys() - {row["name"] for row in rows}):
        yield _function(name, "the function is missing")


def _function(name: str, said: str) -> Finding:
    return Finding(
        said,
        name,
        f"make {name} again as in eventstore/sql/functions, as {OWNER}; then find out who changed it",
    )


def judge_owners(rows: Rows) -> Iterator[Finding]:
    """Find tables that belong to somebody else."""
    for row in rows:
        if row["owner"] != OWNER:
            yield Finding(
                f"{row['owner']} owns it, not {OWNER}, and could change what it holds",
                row["name"],
                f"alter table {row['name']} owner to {OWNER}",
            )


def judge_in_owners_place(rows: Rows) -> Iterator[Finding]:
    """Find who could act as the owner beside the one who migrates."""
    for row in rows:
        if row["is_owner"]:
            yield Finding(f"{OWNER} may log in", "roles", f"alter role {OWNER} nologin")
        else:
            role = OWNER if row["is_member"] else "pg_write_all_data"
            yield Finding(
                f"{row['name']} is a member of {role}, and could change what the store relies on",
                "roles",
                f"revoke {role} from {row['name']}, or from the role through which it is a member",
                Severity.WRONG if row["may_log_in"] else Severity.ADVICE,
            )


def judge_creators(rows: Rows) -> Iterator[Finding]:
    """Find who could put tables or functions beside ours."""
    for row in rows:
        yield Finding(
            f"{row['grantee']} may create tables and functions in it",
            f"schema {row['name']}",
            f"revoke create on schema {row['name']} from {row['grantee']}",
        )


def checks(migrations: Sequence[Migration]) -> Sequence[Check]:
    """Return the checks of rights, which compare the database with its migrations."""
    text = "\n".join(each.text for each in migrations)
    return (
        Check(
            "grants", "Has everybody the intended rights?", _GRANTS, partial(judge_grants, grants_of(text))
        ),
        Check(
            "functions",
            "Are the functions those of the migrations?",
            _FUNCTIONS,
            partial(judge_functions, functions_of(text)),
        ),
        Check("owners", "Does es_owner own every table?", _OWNERS, judge_owners),
        Check("memberships", "Is nobody in es_owner's place?", _IN_OWNERS_PLACE, judge_in_owners_place),
        Check("schemas", "Can nobody else create in our schemas?", _CREATORS, judge_creators),
    )
