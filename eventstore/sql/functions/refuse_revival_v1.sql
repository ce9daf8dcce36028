-- A destroyed key stays destroyed, and its row stays: it says that no new key may be made for the tenant.
create function vault.refuse_revival_v1() returns trigger
language plpgsql
set search_path = vault, pg_temp as $$
begin
  if old.destroyed_at is not null
    and (tg_op = 'DELETE' or new.wrapped_key is not null or new.tenant <> old.tenant or new.key_id <> old.key_id)
  then
    raise exception 'the key of tenant % was destroyed, and stays so', old.tenant
      using errcode = 'integrity_constraint_violation';
  end if;
  return case when tg_op = 'DELETE' then old else new end;
end $$;
