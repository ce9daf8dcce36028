-- Returns the numbers of names, in the order given, and makes numbers for new ones. Whether an event type is
-- ignorable is said by whoever brings it first, and stays so.
create function es.intern_v2(p_categories text[], p_event_types text[], p_ignorable boolean[])
returns table (category_ids smallint[], event_type_ids smallint[], event_types_ignorable boolean[])
language plpgsql security definer
set search_path = es, pg_temp as $$
begin
  if exists (select from unnest(p_categories) as n where n not in (select name from category))
    or exists (select from unnest(p_event_types) as n where n not in (select name from event_type))
  then
    -- Numbers come from max + 1 under a lock: a sequence would burn one per attempt, and there are 32,767.
    perform pg_advisory_xact_lock(x'6573'::int, 10003);
    insert into category (id, name)
    select (select coalesce(max(id), 0) from category) + row_number() over (order by n), n
    from (select distinct unnest(p_categories) as n except select name from category) as new;
    insert into event_type (id, name, ignorable)
    select (select coalesce(max(id), 0) from event_type) + row_number() over (order by n), n, ignorable
    from (select n, bool_and(ignorable) as ignorable
          from unnest(p_event_types, p_ignorable) as given(n, ignorable)
          where n not in (select name from event_type)
          group by n) as new;
  end if;
  return query
  with types as (
    select t.id, t.ignorable, n.i
    from unnest(p_event_types) with ordinality as n(name, i) join event_type t on t.name = n.name)
  select
    array(select c.id from unnest(p_categories) with ordinality as n(name, i)
          join category c on c.name = n.name order by n.i),
    array(select id from types order by i),
    array(select ignorable from types order by i);
end $$;
