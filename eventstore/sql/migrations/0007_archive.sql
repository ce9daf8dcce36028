-- What was moved out of the database, and when it may be dropped.
\ir ../roles/es_archive.sql
set local role es_owner;
\ir ../tables/archive.sql
\ir ../functions/hash_before_v1.sql
\ir ../functions/refuse_populated_partition_v1.sql
\ir ../functions/record_archive_v1.sql
\ir ../functions/detach_partition_v1.sql
\ir ../functions/drop_partition_v1.sql
\ir ../functions/delete_archive_v1.sql
\ir ../functions/forget_archive_v1.sql
\ir ../functions/begin_restore_v1.sql
\ir ../functions/attach_restored_v1.sql
\ir ../functions/drop_pulse_partition_v1.sql
revoke all on function es.hash_before_v1, es.refuse_populated_partition_v1, es.record_archive_v1,
  es.detach_partition_v1, es.drop_partition_v1, es.delete_archive_v1, es.erase_archive_v1,
  es.forget_archive_v1, es.begin_restore_v1, es.attach_restored_v1, es.drop_pulse_partition_v1 from public;
grant execute on function es.record_archive_v1, es.detach_partition_v1, es.drop_partition_v1,
  es.delete_archive_v1, es.erase_archive_v1, es.forget_archive_v1, es.begin_restore_v1,
  es.attach_restored_v1, es.drop_pulse_partition_v1, es.create_partitions_ahead_v1 to es_archive;
grant select on es.archive, es.archive_lane, es.archive_object, es.archive_part, es.partition, es.lane,
  es.setting to es_archive;
grant select on es.archive, es.archive_lane, es.archive_object, es.archive_part to es_read_all;
grant select (to_position, detached_at) on es.archive to es_read_tenant;
grant execute on function es.hash_before_v1 to es_read_all;
reset role;
