-- Appending with fewer statements, and import of many events at once.
do $$
begin
  -- Everybody may make temporary tables unless somebody took that away; the import needs them.
  execute format('grant temporary on database %I to es_owner', current_database());
exception when insufficient_privilege then null;
end $$;
set local role es_owner;
\ir ../functions/judge_v2.sql
\ir ../functions/append_v2.sql
\ir ../functions/append_one_v1.sql
\ir ../functions/open_import_v1.sql
\ir ../functions/import_v1.sql
revoke all on function es.judge_v2, es.append_v2, es.append_one_v1, es.open_import_v1, es.import_v1 from public;
grant execute on function es.append_v2, es.append_one_v1, es.open_import_v1, es.import_v1 to es_append;
reset role;
