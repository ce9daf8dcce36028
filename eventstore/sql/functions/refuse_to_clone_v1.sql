-- Says what a table has that a clone of it would lack, and that the swap would leave behind.
create function es.refuse_to_clone_v1(p_live regclass) returns void
language plpgsql stable set search_path = pg_catalog, pg_temp as $$
declare
  v_found text;
begin
  select case
    when (select relkind from pg_class where oid = p_live) <> 'r' then 'it is no plain table'
    when exists (select from pg_inherits where p_live in (inhrelid, inhparent)) then 'it has parents or children'
    when exists (select from pg_trigger where tgrelid = p_live and not tgisinternal) then 'it has triggers'
    when exists (select from pg_constraint where contype = 'f' and p_live in (conrelid, confrelid))
      then 'foreign keys lead from it or to it'
    when exists (select from pg_rewrite where ev_class = p_live) then 'it has rules'
    when exists (
      select from pg_depend d join pg_rewrite r on r.oid = d.objid
      where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass and d.refobjid = p_live
    ) then 'a view reads it'
    when exists (
      select from pg_depend where classid = 'pg_class'::regclass and refclassid = 'pg_class'::regclass
        and refobjid = p_live and deptype = 'a' and refobjsubid > 0
        and (select relkind from pg_class where oid = objid) = 'S'
    ) then 'a column of it is a serial'
  end into v_found;
  if v_found is not null then
    raise exception '% cannot be rebuilt beside itself: %', p_live, v_found using errcode = 'feature_not_supported';
  end if;
end $$;
