-- One row per lane; lane -1 holds the pulses. `floor` is the start of the partition that holds the lane's
-- last position, so that finding it costs the same with one partition as with a hundred. Updated only when
-- a lane enters a new partition: a counter updated by every append would bloat under an old snapshot.
create table es.lane (
  lane smallint primary key,
  floor bigint not null default 1
);

insert into es.lane (lane)
select generate_series(-1, lanes - 1) from es.setting;
