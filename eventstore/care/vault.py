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
_RULES: Final = """
select 'constraint' as rule where not exists (
  select from pg_constraint
  where conrelid = 'vault.tenant_key'::regclass and contype = 'c' and convalidated
    and pg_get_constraintdef(oid) like '%%wrapped_key IS NULL%%destroyed_at IS NOT NULL%%'
)
union all
select 'trigger' where not exists (
  select from pg_trigger
  where tgrelid = 'vault.tenant_key'::regclass and tgname = 'refuse_revival' and tgenabled = 'A'
    and tgqual is null and tgfoid = to_regproc('vault.refuse_revival_v1')
)
"""
_CERTIFICATES: Final = """
select coalesce(k.tenant, c.tenant) as tenant, c.tenant is not null as certified
from es.erasure c full join vault.tenant_key k on k.tenant = c.tenant
where c.tenant is null and k.destroyed_at is not null or c.tenant is not null and k.destroyed_at is null
order by 1 limit %(places)s
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


def judge_rules(rows: Rows) -> Iterator[Finding]:
    """Find that a destroyed key could keep its bytes, or come back."""
    for row in rows:
        if row["rule"] == "constraint":
            said = "the rule that a destroyed key holds no bytes is gone"
            to_do = "as es_owner, add the check of tables/vault_tenant_key.sql again"
        else:
            said = "the trigger that keeps destroyed keys destroyed does not stand guard"
            to_do = "as es_owner, make trigger refuse_revival again as in migrations/0009_erasure.sql"
        yield Finding(said, "vault.tenant_key", to_do)


def judge_certificates(rows: Rows) -> Iterator[Finding]:
    """Find erased tenants without a certificate, and certificates of tenants whose key still lives."""
    for row in rows:
        if row["certified"]:
            yield Finding(
                "a certificate says that it was erased, and its key is not destroyed",
                f"tenant {row['tenant']}",
                "the key came back with a backup: run `python -m eventstore vault reconcile`",
            )
        else:
            yield Finding(
                "its key is destroyed, and no certificate says so",
                f"tenant {row['tenant']}",
                "erase the tenant again: what is destroyed stays so, and the certificate is made",
                Severity.ADVICE,
            )


CHECKS: Final = (
    Check("vault keys", "Are the vault's times possible?", _KEYS, judge_keys),
    Check("master keys", "Does one master key do?", _MASTERS, judge_masters),
    Check("vault rules", "Is a destroyed key sure to be gone?", _RULES, judge_rules),
    Check("certificates", "Has each erased tenant its certificate?", _CERTIFICATES, judge_certificates),
)
