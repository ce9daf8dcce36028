-- What the pulse lane says, apart from what the ledger says: no row is written from two lanes, because the lanes
-- are read against each other as it happens, and a rebuilt table could not be compared with the live one.

-- The last sign of life for the latest claim of a submission that gave any; it counts while that claim holds.
create table scheduler.lease_pulse (
  submission_id uuid primary key,
  claim_version integer not null,
  pulsed_at timestamptz not null
) with (fillfactor = 50);

-- The last sign of life of a worker; it counts when it is younger than the worker's start and end.
create table scheduler.worker_pulse (
  worker_id text primary key,
  slots integer not null,
  draining boolean not null,
  pulsed_at timestamptz not null
) with (fillfactor = 50);
