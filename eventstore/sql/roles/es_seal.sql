-- May add log seals, by executing the function; the process that seals the log is a member.
do $$
begin
  create role es_seal nologin noinherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_seal', 'usage') then
    execute format('grant es_seal to %I', current_user);
  end if;
end $$;
grant usage on schema es to es_seal;
