-- Jobs, one row each. `accepted_position` orders a customer's jobs: all of them lie in one lane.
create table intake.job (
  job_id uuid primary key,
  customer_id uuid not null,
  profile_id uuid not null,
  profile_version integer not null,
  package smallint not null,
  priority smallint not null,
  state smallint not null,
  planned_count integer not null,
  created_at timestamptz not null,
  changed_at timestamptz not null,
  ended_at timestamptz,
  version integer not null,
  lane smallint not null,
  accepted_position bigint not null,
  position bigint not null
) with (fillfactor = 80);

create index job_by_customer on intake.job (customer_id, accepted_position desc);

alter table intake.job enable row level security;
alter table intake.job force row level security;
create policy intake_all on intake.job to bolt_intake using (true) with check (true);
create policy tenant_reads on intake.job for select to bolt_tenant
  using (customer_id = nullif(current_setting('directorybolt.tenant', true), '')::uuid);
grant select on intake.job to bolt_tenant;
