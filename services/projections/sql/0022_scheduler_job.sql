-- Jobs as the scheduler drives them, and which submissions belong to each.
-- States are numbers of directorybolt.job.v1.JobState. `unsettled` counts all its submissions that may
-- still move, `open` those of the plan: a job can end when `open` is 0, a cancel is done when `unsettled` is.
create table scheduler.job (
  job_id uuid primary key,
  customer_id uuid not null,
  priority smallint not null,
  version integer not null,
  state smallint not null,
  planned boolean not null default false,
  open integer not null default 0,
  unsettled integer not null default 0,
  trace_parent text not null,
  accepted_at timestamptz not null,
  accepted boolean not null generated always as (state in (1, 3)) stored,
  running boolean not null generated always as (state in (2, 3)) stored,
  cancelled boolean not null generated always as (state in (3, 5)) stored,
  finished boolean not null generated always as (state in (4, 5)) stored
);

create index job_to_plan on scheduler.job (accepted_at) where accepted and not planned;
create index job_to_finish on scheduler.job (accepted_at) where running and open = 0;
create index job_to_cancel on scheduler.job (accepted_at) where cancelled and unsettled > 0;

-- `planned` is false for what was requested for the job while its plan is not yet recorded.
create table scheduler.job_submission (
  job_id uuid not null,
  submission_id uuid not null,
  planned boolean not null,
  primary key (job_id, submission_id)
);
create index job_submission_by_submission on scheduler.job_submission (submission_id);
