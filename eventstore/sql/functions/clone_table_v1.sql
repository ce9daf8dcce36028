-- Makes an empty table like a live one in another schema: columns, defaults, checks, storage settings. Keys and
-- indexes come with index_clone_v1, rights and policies with dress_clone_v1. Without `p_logged` a crash empties
-- it: enough for what is thrown away.
create function es.clone_table_v1(p_live regclass, p_schema text, p_logged boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_clone text;
  v_settings text;
  v_comment text;
begin
  perform es.refuse_to_clone_v1(p_live);
  select format('%I.%I', p_schema, relname), array_to_string(reloptions, ', '), obj_description(oid, 'pg_class')
  into v_clone, v_settings, v_comment
  from pg_class where oid = p_live;
  execute format('create %s table %s (like %s including defaults including generated including identity'
                 ' including constraints including storage including compression including statistics'
                 ' including comments)', case when p_logged then '' else 'unlogged' end, v_clone, p_live);
  if v_settings <> '' then
    execute format('alter table %s set (%s)', v_clone, v_settings);
  end if;
  if v_comment <> '' then
    execute format('comment on table %s is %L', v_clone, v_comment);
  end if;
end $$;
