-- Appending with fewer statements, and import of many events at once.
set local role es_owner;
\ir ../functions/judge_v2.sql
\ir ../functions/append_v2.sql
revoke all on function es.judge_v2, es.append_v2 from public;
grant execute on function es.append_v2 to es_append;
reset role;
