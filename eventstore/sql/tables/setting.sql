-- One row: what was decided when the database was made. The lane of a tenant follows from `lanes`.
create table es.setting (
  only_row boolean primary key default true check (only_row),
  lanes smallint not null check (lanes between 1 and 1024),
  event_partition_size bigint not null check (event_partition_size >= 100),
  pulse_partition_size bigint not null check (pulse_partition_size >= 100)
);

insert into es.setting (lanes, event_partition_size, pulse_partition_size)
values (
  coalesce(nullif(current_setting('directorybolt.lanes', true), '')::smallint, 1),
  coalesce(nullif(current_setting('directorybolt.event_partition_size', true), '')::bigint, 5000000),
  coalesce(nullif(current_setting('directorybolt.pulse_partition_size', true), '')::bigint, 5000000)
);
