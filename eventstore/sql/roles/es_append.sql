-- May append, by executing the functions; sees no row.
do $$
begin
  create role es_append nologin noinherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_append', 'usage') then
    execute format('grant es_append to %I', current_user);
  end if;
end $$;
grant usage on schema es to es_append;
