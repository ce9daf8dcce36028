-- Creates partitions of a log until one starts beyond `p_position`, so that an empty one is always ahead.
-- A table is made first and attached then: attaching does not wait for readers, PARTITION OF would.
create function es.create_partitions_ahead_v1(p_log text, p_position bigint) returns integer
language plpgsql security definer
set search_path = es, pg_temp
set lock_timeout = '500ms' as $$
declare
  v_created integer := 0;
  v_from bigint;
  v_size bigint;
  v_name text;
begin
  perform pg_advisory_xact_lock(x'6573'::int, case p_log when 'event' then 10001 else 10002 end);
  select case p_log when 'event' then event_partition_size else pulse_partition_size end into v_size from setting;
  loop
    if (select max(from_position) from partition where log = p_log) > p_position then
      return v_created;
    end if;
    select coalesce(max(to_position), 1) into v_from from partition where log = p_log;
    v_name := format('%s_from_%s', p_log, v_from);
    execute format('create table es.%I (like es.%I including defaults including storage)', v_name, p_log);
    execute format('alter table es.%I attach partition es.%I for values from (%s) to (%s)',
                   p_log, v_name, v_from, v_from + v_size);
    if p_log = 'event' then
      execute format('create unique index %I on es.%I (stream_id, version)', v_name || '_stream', v_name);
    end if;
    perform make_append_only_v1(format('es.%I', v_name)::regclass);
    insert into partition (log, from_position, to_position) values (p_log, v_from, v_from + v_size);
    v_created := v_created + 1;
  end loop;
end $$;
