-- Signed seals over ranges of the log.
\ir ../roles/es_seal.sql
set local role es_owner;
\ir ../tables/log_identity.sql
\ir ../tables/log_seal.sql
\ir ../functions/log_seal_hash_v1.sql
\ir ../functions/add_log_seal_v1.sql
revoke all on function es.log_seal_hash_v1, es.add_log_seal_v1 from public;
grant execute on function es.add_log_seal_v1 to es_seal;
grant select on es.log_seal, es.log_identity to es_read_all;
select es.make_append_only_v1('es.log_seal');
select es.make_append_only_v1('es.log_identity');
reset role;
