-- Every submission with what the scheduler decides by, folded from its stream. The partial indexes hold
-- only what is alive, so that the settled millions cost nothing but their place.
-- States are numbers of directorybolt.job.v1.SubmissionState; the generated columns give them names.
create table scheduler.work (
  submission_id uuid primary key,
  customer_id uuid not null,
  profile_id uuid not null,
  directory_id text not null,
  generation integer not null,
  jobs uuid[] not null,
  priority smallint not null,
  version integer not null,
  state smallint not null,
  uncertain boolean not null,
  purpose smallint not null,
  attempt integer not null,
  attempts_used integer not null,
  attempts_max integer not null,
  verifications_used integer not null,
  dispatch_id text not null,
  claim_version integer not null,
  worker_id text not null,
  error_class smallint not null,
  code text not null,
  trace_parent text not null,
  requested_at timestamptz not null,
  changed_at timestamptz not null,
  due_at timestamptz,
  permit_expires_at timestamptz,
  dispatched_at timestamptz,
  settled_at timestamptz,
  ready boolean not null generated always as (state in (1, 5, 6)) stored,
  dispatched boolean not null generated always as (state = 2) stored,
  held boolean not null generated always as (state in (3, 4)) stored,
  dead boolean not null generated always as (state = 13) stored
) with (fillfactor = 70);

create index work_ready on scheduler.work (priority, customer_id, due_at) where ready;
create index work_dispatched on scheduler.work (dispatched_at) where dispatched;
create index work_in_flight on scheduler.work (directory_id) where dispatched or held;
create index work_dead on scheduler.work (settled_at desc, submission_id desc) where dead;
