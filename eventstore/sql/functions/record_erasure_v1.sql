-- Keeps the certificate of an erasure; the first one of a tenant stays. Only for a tenant whose key is no more.
create function es.record_erasure_v1(p_tenant uuid, p_document bytea, p_public_key bytea, p_signature bytea)
returns void
language plpgsql security definer
set search_path = es, pg_temp as $$
begin
  if not exists (select from vault.tenant_key where tenant = p_tenant and destroyed_at is not null) then
    raise exception 'tenant % still has a key, or never had one: nothing was erased', p_tenant
      using errcode = 'integrity_constraint_violation';
  end if;
  insert into erasure (tenant, document, public_key, signature)
  values (p_tenant, p_document, p_public_key, p_signature)
  on conflict (tenant) do nothing;
end $$;
