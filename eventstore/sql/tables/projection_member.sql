-- The processes that run a projection and share its partitions, oldest first.
create table es.projection_member (
  name text not null,
  version integer not null,
  holder text not null,
  joined_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  session_pid integer not null,
  primary key (name, version, holder)
) with (fillfactor = 50);
