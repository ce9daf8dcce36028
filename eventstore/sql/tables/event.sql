-- The ledger. Positions are gapless within a lane; `hash` chains each event to the one before it.
-- (stream_id, version) cannot be unique across partitions: stream_head, changed only under the lock, sees
-- to that, and the unique index of each partition (create_partitions_ahead_v1) is the second defence.
create table es.event (
  position bigint not null,
  recorded_at timestamptz not null,
  stream_id uuid not null,
  event_id uuid not null,
  tenant uuid not null,
  correlation_id uuid,
  causation_id uuid,
  version integer not null,
  lane smallint not null,
  category smallint not null,
  event_type smallint not null,
  schema_version smallint not null,
  hash bytea not null,
  trace_parent text not null,
  actor text not null,
  payload bytea not null,
  primary key (lane, position)
) partition by range (position);

create index event_by_tenant on es.event (tenant, position);
create index event_by_correlation on es.event (correlation_id, position) where correlation_id is not null;
create index event_by_time on es.event using brin (recorded_at);

alter table es.event enable row level security;
alter table es.event force row level security;
create policy owner_all on es.event to es_owner using (true) with check (true);
create policy read_all on es.event for select to es_read_all using (true);
create policy read_tenant on es.event for select to es_read_tenant
  using (tenant = nullif(current_setting('directorybolt.tenant', true), '')::uuid);
