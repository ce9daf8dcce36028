-- Gives a clone what says who may do what with it, as the live table has it at this moment: owner, grants,
-- row-level security, policies. Whoever built it loses its rights.
create function es.dress_clone_v1(p_live regclass, p_clone regclass) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  v_live record;
  v_each record;
begin
  select pg_get_userbyid(relowner) as owner, relowner, relacl, relrowsecurity, relforcerowsecurity into v_live
  from pg_class where oid = p_live;
  execute format('revoke all on %s from es_rebuild', p_clone);
  if v_live.relowner <> (select relowner from pg_class where oid = p_clone) then
    execute format('alter table %s owner to %I', p_clone, v_live.owner);
  end if;
  for v_each in
    select privilege_type, is_grantable, null as name,
           case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end as grantee
    from aclexplode(v_live.relacl) where grantee <> v_live.relowner
    union all
    select privilege_type, is_grantable, attname,
           case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end
    from pg_attribute, aclexplode(attacl) where attrelid = p_live and attnum > 0 and not attisdropped
  loop
    execute format('grant %s%s on %s to %s%s', v_each.privilege_type,
                   coalesce(' (' || quote_ident(v_each.name) || ')', ''), p_clone, v_each.grantee,
                   case when v_each.is_grantable then ' with grant option' else '' end);
  end loop;
  for v_each in
    select polname, polpermissive,
           case polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
             else 'all' end as command,
           (select string_agg(case when role = 0 then 'public' else quote_ident(pg_get_userbyid(role)) end, ', ')
            from unnest(polroles) as role) as roles,
           pg_get_expr(polqual, polrelid) as qual, pg_get_expr(polwithcheck, polrelid) as with_check
    from pg_policy where polrelid = p_live
  loop
    execute format('create policy %I on %s as %s for %s to %s%s%s', v_each.polname, p_clone,
                   case when v_each.polpermissive then 'permissive' else 'restrictive' end,
                   v_each.command, v_each.roles, coalesce(' using (' || v_each.qual || ')', ''),
                   coalesce(' with check (' || v_each.with_check || ')', ''));
  end loop;
  if v_live.relrowsecurity then
    execute format('alter table %s enable row level security', p_clone);
  end if;
  if v_live.relforcerowsecurity then
    execute format('alter table %s force row level security', p_clone);
  end if;
end $$;
