-- Signs of life: a lane of its own, gapless, but without chain, heads or keys; kept for days.
create table es.pulse (
  position bigint primary key,
  recorded_at timestamptz not null,
  stream_id uuid not null,
  event_id uuid not null,
  tenant uuid not null,
  correlation_id uuid,
  causation_id uuid,
  category smallint not null,
  event_type smallint not null,
  schema_version smallint not null,
  trace_parent text not null,
  actor text not null,
  payload bytea not null
) partition by range (position);

create index pulse_by_stream on es.pulse (stream_id, position);
create index pulse_by_tenant on es.pulse (tenant, position);

alter table es.pulse enable row level security;
alter table es.pulse force row level security;
create policy owner_all on es.pulse to es_owner using (true) with check (true);
create policy read_all on es.pulse for select to es_read_all using (true);
create policy read_tenant on es.pulse for select to es_read_tenant
  using (tenant = nullif(current_setting('directorybolt.tenant', true), '')::uuid);
