-- One row per held submission. Pulses move last_pulse_at alone, so that rows stay small and updates stay
-- within their page.
create table scheduler.lease (
  submission_id uuid primary key,
  claim_version integer not null,
  worker_id text not null,
  lease_seconds double precision not null,
  claimed_at timestamptz not null,
  last_pulse_at timestamptz not null
) with (fillfactor = 50);
