-- May read every tenant's events: projectors and the services themselves.
do $$
begin
  create role es_read_all nologin noinherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_read_all', 'usage') then
    execute format('grant es_read_all to %I', current_user);
  end if;
end $$;
grant usage on schema es to es_read_all;
