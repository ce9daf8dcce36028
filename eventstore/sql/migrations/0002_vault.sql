-- Keys of tenants, in a schema of their own so that ordinary backups can leave them out.
create schema if not exists vault;
grant usage, create on schema vault to es_owner;
\ir ../roles/vault_keeper.sql
set local role es_owner;
\ir ../tables/vault_tenant_key.sql
reset role;
