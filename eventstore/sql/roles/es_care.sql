-- May look at everything that the doctor examines, the keys themselves excepted; may change nothing.
do $$
begin
  create role es_care nologin inherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_care', 'usage') then
    execute format('grant es_care to %I', current_user);
  end if;
  if not pg_has_role('es_care', 'es_read_all', 'usage') then
    grant es_read_all to es_care;
  end if;
end $$;
do $$
begin
  -- Shows how old other sessions' transactions are. Who may not grant it does without.
  grant pg_read_all_stats to es_care;
exception when insufficient_privilege then null;
end $$;
grant usage on schema es, vault to es_care;
