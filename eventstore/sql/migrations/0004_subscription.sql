-- Partitions of a projection, its policy and state, and parked events.
set local role es_owner;
\ir ../tables/projection_lease.sql
\ir ../tables/projection_member.sql
\ir ../tables/parked.sql
\ir ../functions/partition_of_v1.sql
\ir ../functions/split_projection_v1.sql
\ir ../functions/hold_partitions_v1.sql
\ir ../functions/leave_projection_v1.sql
revoke all on function es.partition_of_v1, es.split_projection_v1, es.hold_partitions_v1,
  es.leave_projection_v1 from public;
grant execute on function es.partition_of_v1 to es_read_all, es_project;
grant execute on function es.hold_partitions_v1, es.leave_projection_v1 to es_project;
grant select on es.projection_member, es.parked to es_read_all, es_project;
grant insert, update, delete on es.parked to es_project;
reset role;
