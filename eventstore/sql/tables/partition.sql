-- The partitions of each log, as create_partitions_ahead_v1 made them; `to_position` is the first one after.
create table es.partition (
  log text not null check (log in ('event', 'pulse')),
  from_position bigint not null,
  to_position bigint not null check (to_position > from_position),
  primary key (log, from_position)
);
