-- May make, read and destroy tenants' wrapped keys; a service that seals or opens is a member.
do $$
begin
  create role vault_keeper nologin noinherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'vault_keeper', 'usage') then
    execute format('grant vault_keeper to %I', current_user);
  end if;
end $$;
grant usage on schema vault to vault_keeper;
