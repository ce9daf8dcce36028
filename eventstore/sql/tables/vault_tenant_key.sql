-- One key per tenant, wrapped by a master key that the database never sees. A destroyed key leaves its row:
-- the tenant is known to be gone, and no new key is made for it.
create table vault.tenant_key (
  tenant uuid primary key,
  key_id uuid not null unique,
  wrapped_key bytea,
  master_key_id text not null,
  created_at timestamptz not null default clock_timestamp(),
  destroyed_at timestamptz,
  check ((wrapped_key is null) = (destroyed_at is not null))
);
grant select, insert, update on vault.tenant_key to vault_keeper;
