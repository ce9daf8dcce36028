-- Owns every table and function of the store. Nobody logs in as it.
do $$
begin
  create role es_owner nologin noinherit;
exception when duplicate_object or unique_violation then null; -- roles belong to the cluster, not to one database
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_owner', 'usage') then
    execute format('grant es_owner to %I', current_user);
  end if;
end $$;
grant usage, create on schema es to es_owner;
