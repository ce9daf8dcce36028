-- Makes the indexes of a clone that are no keys, by the names that they have on the live table.
create function es.index_clone_v1(p_live regclass, p_schema text) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_index record;
  v_on text;
begin
  for v_index in
    select i.indexrelid, c.relname
    from pg_index i join pg_class c on c.oid = i.indexrelid
    where i.indrelid = p_live and i.indisvalid
      and not exists (select from pg_constraint where conindid = i.indexrelid)
      and to_regclass(format('%I.%I', p_schema, c.relname)) is null
    order by c.relname
  loop
    v_on := format(' ON %s USING ', p_live);
    execute regexp_replace(
      pg_get_indexdef(v_index.indexrelid), '^(.*?)' || regexp_replace(v_on, '([.\[\](){}*+?^$|\\])', '\\\1', 'g'),
      format('\1 ON %I.%I USING ', p_schema, (select relname from pg_class where oid = p_live)));
  end loop;
end $$;
