-- Read models rebuilt beside the live ones, and the log as of an instant.
\ir ../roles/es_rebuild.sql
set local role es_owner;
\ir ../functions/position_at_v1.sql
\ir ../functions/refuse_to_clone_v1.sql
\ir ../functions/clone_table_v1.sql
\ir ../functions/index_clone_v1.sql
\ir ../functions/dress_clone_v1.sql
revoke all on function es.position_at_v1, es.refuse_to_clone_v1, es.clone_table_v1, es.index_clone_v1,
  es.dress_clone_v1 from public;
grant execute on function es.position_at_v1 to es_read_all;
reset role;
