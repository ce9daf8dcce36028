-- What a worker's last pulse said; submitter.worker holds what the ledger says.
create table submitter.worker_pulse (
  worker_id text primary key,
  busy integer not null,
  slots integer not null,
  draining boolean not null,
  pulsed_at timestamptz not null,
  progress_at timestamptz not null
) with (fillfactor = 50);
