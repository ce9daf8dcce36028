-- The store: ledger, pulses, heads, keys, and who may touch them.
\ir ../roles/es_owner.sql
\ir ../roles/es_append.sql
\ir ../roles/es_read_all.sql
\ir ../roles/es_read_tenant.sql
\ir ../roles/es_project.sql
set local role es_owner;
\ir ../tables/setting.sql
\ir ../tables/lane.sql
\ir ../tables/partition.sql
\ir ../tables/category.sql
\ir ../tables/event_type.sql
\ir ../tables/event.sql
\ir ../tables/pulse.sql
\ir ../tables/stream_head.sql
\ir ../tables/event_key.sql
\ir ../tables/projection.sql
\ir ../functions/refuse_change_v1.sql
\ir ../functions/create_partitions_ahead_v1.sql
\ir ../functions/enter_partition_v1.sql
\ir ../functions/intern_v1.sql
\ir ../functions/lane_of_v1.sql
\ir ../functions/leaf_v1.sql
\ir ../functions/append_v1.sql
\ir ../functions/append_pulse_v1.sql
\ir ../roles/grants.sql
select es.make_append_only_v1('es.event');
select es.make_append_only_v1('es.pulse');
select es.make_append_only_v1('es.event_key');
select es.make_append_only_v1('es.category');
select es.make_append_only_v1('es.event_type');
select es.create_partitions_ahead_v1('event', 1);
select es.create_partitions_ahead_v1('pulse', 1);
reset role;
