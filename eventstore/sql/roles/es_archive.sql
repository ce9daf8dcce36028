-- May record archived partitions, and drop what is recorded as verified, by executing the functions.
do $$
begin
  create role es_archive nologin noinherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_archive', 'usage') then
    execute format('grant es_archive to %I', current_user);
  end if;
end $$;
grant usage on schema es to es_archive;
