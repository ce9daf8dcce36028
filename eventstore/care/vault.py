"""Checks of the vault's rows, as far as somebody may look who may not have the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventstore.care.check import Check, Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventstore.care.check import Rows

_KEYS: Final = """
select tenant, created_at, destroyed_at from vault.tenant_key
where destroyed_at < created_at or created_at > clock_timestamp() + interval '1 minute'
   or destroyed_at > clock_timestamp() + interval '1 minute'
order by tenant limit %(places)s
"""
_MASTERS: Final = """
select master_key_id, count(*) as keys from vault.tenant_key where destroyed_at is null
group by master_key_id order by master_key_id
"""
_CONSTRAINT: Final = """
select 1 as missing where not exists (
  select from pg_constraint
  where conrelid = 'vault.tenant_key'::regclass and contype = 'c' and convalidated
    and pg_get_constraintdef(oid) like '%%wrapped_key IS NULL%%destroyed_at IS NOT NULL%%'
)
"""


def judge_keys(rows: Rows) -> Iterator[Finding]:
    """Find keys whose times cannot be."""
    for row in rows:
        yield Finding(
            f"created at {row['created_at']}, destroyed at {row['destroyed_at']}: these times cannot be",
            f"tenant {row['tenant']}",
            "compare the row with a backup of the vault; a key that is back after its tenant was erased must"
            " be destroyed again",
        )


def judge_masters(rows: Rows) -> Iterator[Finding]:
    """Find that several master keys are needed."""
    if len(rows) > 1:
        listed = ", ".join(f"{row['master_key_id']} ({row['keys']} tenants)" for row in rows)
        yield Finding(
            f"tenants' keys are wrapped by several master keys: {listed}",
            "vault.tenant_key",
            "keep all of these master keys until the tenants' keys are wrapped anew",
            Severity.ADVICE,
        )


def judge_constraint(rows: Rows) -> Iterator[Finding]:
    """Find that a destroyed key could keep its bytes."""
    for _ in rows:
        yield Finding(
            "the rule that a destroyed key holds no bytes is gone",
            "vault.tenant_key",
            "as es_owner: alter table vault.tenant_key"
            " add check ((wrapped_key is null) = (destroyed_at is not null))",
        )


CHECKS: Final = (
    Check("vault keys", "Are the vault's times possible?", _KEYS, judge_keys, needs="vault.tenant_key"),
    Check(
        "master keys",
        "Does one master key open the vault?",
        _MASTERS,
        judge_masters,
        needs="vault.tenant_key",
    ),
    Check(
        "vault rule",
        "Is a destroyed key sure to be gone?",
        _CONSTRAINT,
        judge_constraint,
        needs="vault.tenant_key",
    ),
)
