-- The version of each stream; changed only by append_v1, under the lock of the lane. `first_position` spares
-- a reader of a young stream every older partition.
create table es.stream_head (
  stream_id uuid primary key,
  tenant uuid not null,
  first_position bigint not null,
  version integer not null,
  lane smallint not null,
  category smallint not null
) with (fillfactor = 80);

alter table es.stream_head enable row level security;
alter table es.stream_head force row level security;
create policy owner_all on es.stream_head to es_owner using (true) with check (true);
create policy read_all on es.stream_head for select to es_read_all using (true);
create policy read_tenant on es.stream_head for select to es_read_tenant
  using (tenant = nullif(current_setting('directorybolt.tenant', true), '')::uuid);
