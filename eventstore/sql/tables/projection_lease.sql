-- A partition of a projection is a row of its own: the events whose stream falls to it (partition_of_v1).
-- `session_pid` is the holder's session under `session_epoch`: once that session is gone, the lease may be
-- taken before it expires. A holder of an older release leaves both as they were, and `epoch` tells.
-- A partition that is paused belongs to nobody until somebody resumes it. The two samples are what a rate is
-- made of: `sampled` is ten to twenty seconds younger than `sampled_before`.
alter table es.projection
  add column session_pid integer,
  add column session_epoch bigint,
  add column paused_at timestamptz,
  add column paused_release text,
  add column failed_lane smallint,
  add column failed_position bigint,
  add column attempts integer,
  add column error text,
  add column sampled jsonb not null default '{}',
  add column sampled_at timestamptz not null default clock_timestamp(),
  add column sampled_before jsonb not null default '{}',
  add column sampled_before_at timestamptz not null default clock_timestamp();
