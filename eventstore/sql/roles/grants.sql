-- Who may do what. Nobody may INSERT, UPDATE, DELETE or TRUNCATE events but through the functions.
revoke all on all functions in schema es from public;

grant execute on function es.append_v1, es.append_pulse_v1, es.intern_v1 to es_append;
grant select on es.setting to es_append;

grant select on es.event, es.pulse, es.stream_head, es.event_key, es.category, es.event_type, es.lane,
  es.partition, es.setting, es.projection to es_read_all;
grant execute on function es.leaf_v1 to es_read_all;

grant select on es.event, es.pulse, es.stream_head to es_read_tenant;

grant select, insert, update on es.projection to es_project;
