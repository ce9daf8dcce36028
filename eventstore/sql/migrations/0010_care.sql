-- What a doctor may look at.
\ir ../roles/es_care.sql
grant select on es.migration to es_care;
set local role es_owner;
grant select (tenant, key_id, master_key_id, created_at, destroyed_at) on vault.tenant_key to es_care;
-- Following the log for one tenant, split by streams, happens in that tenant's role.
grant execute on function es.partition_of_v1 to es_read_tenant;
reset role;
