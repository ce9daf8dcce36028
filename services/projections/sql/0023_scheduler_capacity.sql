-- What limits dispatch: the workers' slots and the directories' politeness.
create table scheduler.worker (
  worker_id text primary key,
  slots integer not null,
  draining boolean not null,
  last_pulse_at timestamptz not null,
  ended_at timestamptz
);

create table scheduler.directory (
  directory_id text primary key,
  state smallint not null,
  authority integer not null,
  attempts_at_once_max integer not null,
  gap_seconds double precision not null
);

-- Apart from the catalogue, because it changes with every dispatch; also for directories unknown to it.
create table scheduler.directory_start (
  directory_id text primary key,
  last_started_at timestamptz not null
) with (fillfactor = 50);
