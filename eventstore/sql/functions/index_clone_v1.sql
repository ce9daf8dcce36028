-- Makes the indexes of a clone by the names that they have on the live table: with `p_unique` its keys and what
-- else is unique, because rows are written by them; without it the rest, which is cheaper once the rows stand.
-- What is there already stays: it may be called again.
create function es.index_clone_v1(p_live regclass, p_schema text, p_unique boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_clone text;
  v_index record;
begin
  select format('%I.%I', p_schema, relname) into v_clone from pg_class where oid = p_live;
  for v_index in
    select c.relname as name, k.conname as key, pg_get_constraintdef(k.oid) as key_definition,
           pg_get_indexdef(i.indexrelid) as definition
    from pg_index i
    join pg_class c on c.oid = i.indexrelid
    left join pg_constraint k on k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x')
    where i.indrelid = p_live and i.indisvalid and (i.indisunique or k.oid is not null) = p_unique
      and to_regclass(format('%I.%I', p_schema, c.relname)) is null
    order by c.relname
  loop
    if v_index.key is not null then
      execute format('alter table %s add constraint %I %s', v_clone, v_index.key, v_index.key_definition);
    else
      -- The first ` ON live USING ` is the index's own: before it there is nothing but its name.
      execute overlay(v_index.definition placing format(' ON %s USING ', v_clone)
                      from strpos(v_index.definition, format(' ON %s USING ', p_live))
                      for length(format(' ON %s USING ', p_live)));
    end if;
  end loop;
end $$;
