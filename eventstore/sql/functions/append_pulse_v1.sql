-- Appends a batch of pulses: positions without gaps under a lock of their own, and nothing else.
create function es.append_pulse_v1(
  p_stream uuid[], p_tenant uuid[], p_category smallint[],
  p_event_id uuid[], p_event_type smallint[], p_schema_version smallint[], p_payload bytea[],
  p_correlation uuid[], p_causation uuid[], p_trace_parent text[], p_actor text[]
) returns bigint
language plpgsql security definer
set search_path = es, pg_temp
set enable_seqscan = off
set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_floor bigint;
  v_base bigint;
  v_recorded_at timestamptz;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'append needs READ COMMITTED: an older snapshot would hide what the lock was waited for';
  end if;
  perform pg_advisory_xact_lock(x'6573'::int, -1);
  select floor into strict v_floor from lane where lane = -1;
  select position, recorded_at into v_base, v_recorded_at
  from pulse where position >= v_floor order by position desc limit 1;
  v_base := coalesce(v_base, v_floor - 1);
  v_recorded_at := greatest(clock_timestamp(), v_recorded_at);
  perform enter_partition_v1('pulse', (-1)::smallint, v_floor, v_base + cardinality(p_stream));

  insert into pulse (position, recorded_at, stream_id, event_id, tenant, correlation_id, causation_id,
                     category, event_type, schema_version, trace_parent, actor, payload)
  select v_base + n.i, v_recorded_at, n.stream, n.event_id, n.tenant, n.correlation, n.causation,
         n.category, n.event_type, n.schema_version, n.trace_parent, n.actor, n.payload
  from unnest(p_stream, p_tenant, p_category, p_event_id, p_event_type, p_schema_version, p_payload,
              p_correlation, p_causation, p_trace_parent, p_actor) with ordinality
    as n(stream, tenant, category, event_id, event_type, schema_version, payload,
         correlation, causation, trace_parent, actor, i);
  return v_base + cardinality(p_stream);
end $$;
