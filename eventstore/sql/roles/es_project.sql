-- May save the checkpoints of projections; a service that runs one is a member.
do $$
begin
  create role es_project nologin noinherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_project', 'usage') then
    execute format('grant es_project to %I', current_user);
  end if;
end $$;
grant usage on schema es to es_project;
