-- One row per projection, version and partition: how far it is in each lane, and who may move it.
-- `epoch` rises with every new holder; a checkpoint is saved only under the epoch that was handed out.
create table es.projection (
  name text not null,
  version integer not null,
  partition smallint not null default 0,
  positions jsonb not null default '{}',
  holder text,
  epoch bigint not null default 0,
  expires_at timestamptz,
  moved_at timestamptz not null default clock_timestamp(),
  primary key (name, version, partition)
) with (fillfactor = 50);
