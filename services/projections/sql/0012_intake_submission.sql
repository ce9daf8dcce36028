-- Submissions, one row each; `folded` is the whole state, from which the projector goes on.
create table intake.submission (
  submission_id uuid primary key,
  customer_id uuid not null,
  directory_id text not null,
  state smallint not null,
  proofs text[] not null,
  changed_at timestamptz not null,
  lane smallint not null,
  position bigint not null,
  folded jsonb not null
) with (fillfactor = 70);

create index submission_by_customer on intake.submission (customer_id, directory_id, submission_id);
create index submission_by_proof on intake.submission using gin (proofs);

-- Which jobs asked for which submission; a submission has several when orders overlap.
create table intake.job_submission (
  job_id uuid not null,
  submission_id uuid not null,
  customer_id uuid not null,
  primary key (job_id, submission_id)
);

alter table intake.submission enable row level security;
alter table intake.submission force row level security;
create policy intake_all on intake.submission to bolt_intake using (true) with check (true);
create policy tenant_reads on intake.submission for select to bolt_tenant
  using (customer_id = nullif(current_setting('directorybolt.tenant', true), '')::uuid);
grant select on intake.submission to bolt_tenant;

alter table intake.job_submission enable row level security;
alter table intake.job_submission force row level security;
create policy intake_all on intake.job_submission to bolt_intake using (true) with check (true);
create policy tenant_reads on intake.job_submission for select to bolt_tenant
  using (customer_id = nullif(current_setting('directorybolt.tenant', true), '')::uuid);
grant select on intake.job_submission to bolt_tenant;
