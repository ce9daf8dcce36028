-- Proofs of erasure, and keys that cannot come back.
grant usage on schema es to vault_keeper;
set local role es_owner;
\ir ../tables/erasure.sql
\ir ../functions/record_erasure_v1.sql
\ir ../functions/refuse_revival_v1.sql
revoke all on function es.record_erasure_v1, vault.refuse_revival_v1 from public;
grant execute on function es.record_erasure_v1 to vault_keeper;
grant select on es.erasure to vault_keeper, es_read_all;
select es.make_append_only_v1('es.erasure');
create trigger refuse_revival before update or delete on vault.tenant_key
  for each row execute function vault.refuse_revival_v1();
alter table vault.tenant_key enable always trigger refuse_revival;
reset role;
