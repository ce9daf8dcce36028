-- What happened to jobs and submissions, each event once, as the log holds it.
create table intake.history (
  lane smallint not null,
  position bigint not null,
  stream_id uuid not null,
  category text not null,
  version integer not null,
  event_id uuid not null,
  event_type text not null,
  schema_version smallint not null,
  payload bytea not null,
  customer_id uuid not null,
  correlation_id uuid,
  causation_id uuid,
  trace_parent text not null,
  actor text not null,
  recorded_at timestamptz not null,
  hash bytea not null,
  primary key (lane, position)
);

create index history_by_stream on intake.history (stream_id, position);

-- The streams that make up a job's history: its own, and its submissions'. A submission that a job joins
-- brings its past with it, because its events are not copied but pointed to.
create table intake.job_stream (
  job_id uuid not null,
  stream_id uuid not null,
  customer_id uuid not null,
  primary key (job_id, stream_id)
);

alter table intake.history enable row level security;
alter table intake.history force row level security;
create policy intake_all on intake.history to bolt_intake using (true) with check (true);
create policy tenant_reads on intake.history for select to bolt_tenant
  using (customer_id = nullif(current_setting('directorybolt.tenant', true), '')::uuid);
grant select on intake.history to bolt_tenant;

alter table intake.job_stream enable row level security;
alter table intake.job_stream force row level security;
create policy intake_all on intake.job_stream to bolt_intake using (true) with check (true);
create policy tenant_reads on intake.job_stream for select to bolt_tenant
  using (customer_id = nullif(current_setting('directorybolt.tenant', true), '')::uuid);
grant select on intake.job_stream to bolt_tenant;
