-- May read the events of the one tenant named in the setting directorybolt.tenant; of none without it.
do $$
begin
  create role es_read_tenant nologin noinherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_read_tenant', 'usage') then
    execute format('grant es_read_tenant to %I', current_user);
  end if;
end $$;
grant usage on schema es to es_read_tenant;
