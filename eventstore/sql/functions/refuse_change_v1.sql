-- History is appended to, never changed: the answer to every UPDATE, DELETE and TRUNCATE.
create function es.refuse_change_v1() returns trigger
language plpgsql set search_path = es, pg_temp as $$
begin
  raise exception '% refused: %.% is append-only', tg_op, tg_table_schema, tg_table_name
    using errcode = 'insufficient_privilege';
end $$;

create function es.make_append_only_v1(p_table regclass) returns void
language plpgsql set search_path = es, pg_temp as $$
begin
  execute format('create trigger append_only before update or delete or truncate on %s
                  for each statement execute function es.refuse_change_v1()', p_table);
  -- Always: otherwise a session that calls itself a replica could rewrite history.
  execute format('alter table %s enable always trigger append_only', p_table);
end $$;
