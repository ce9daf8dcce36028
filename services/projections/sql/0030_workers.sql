-- Workers as the submitter shows them: the last pulse wins, whatever order the lanes are read in.
create table submitter.worker (
  worker_id text primary key,
  state text not null check (state in ('running', 'draining', 'stopped', 'lost')),
  busy integer not null default 0,
  slots integer not null default 0,
  browser text not null default '',
  started_at timestamptz not null,
  pulse_at timestamptz not null,
  progress_at timestamptz not null,
  ended_at timestamptz
);
