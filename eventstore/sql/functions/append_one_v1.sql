-- Appends one event to one stream: what append_v2 does for a batch of that size, in half of its time. A lone
-- caller waits for every microsecond of it, and processes that append at once wait for each other's.
-- answer_code is what judge_v2 would say: 0 appended, 1 stands already, 2 conflict (the stream is at version
-- answer_found), 3 the event id belongs to another append, 4 the stream to another tenant, category or lane.
create function es.append_one_v1(
  p_lane smallint, p_stream uuid, p_tenant uuid, p_category smallint, p_expected integer,
  p_event_id uuid, p_event_type smallint, p_schema_version smallint, p_payload bytea,
  p_correlation uuid, p_causation uuid, p_trace_parent text, p_actor text,
  out answer_code smallint, out answer_position bigint, out answer_recorded_at timestamptz,
  out answer_version integer, out answer_found integer
)
language plpgsql security definer
set search_path = es, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_lanes smallint;
  v_floor bigint;
  v_next_partition bigint;
  v_category text;
  v_event_type text;
  v_locked text;
  v_hash bytea;
  v_fits boolean;
  v_known_position bigint;
  v_known_recorded_at timestamptz;
  v_known_version integer;
  v_is_same boolean;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'append needs READ COMMITTED: an older snapshot would hide what the lock was waited for';
  end if;
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  -- As in append_v2: an older floor is right too.
  select s.lanes, l.floor,
         (select min(from_position) from partition where log = 'event' and from_position > l.floor),
         (select name from category where id = p_category), (select name from event_type where id = p_event_type),
         pg_advisory_xact_lock(x'6573'::int, p_lane)
  into strict v_lanes, v_floor, v_next_partition, v_category, v_event_type, v_locked
  from lane l, setting s where l.lane = p_lane and l.lane >= 0;

  select position, hash, recorded_at into answer_position, v_hash, answer_recorded_at
  from event where lane = p_lane and position >= v_floor order by position desc limit 1;
  if answer_position is null then
    if v_floor > 1 then
      raise exception 'lane % is damaged: nothing stands from position % on', p_lane, v_floor
        using errcode = 'data_corrupted';
    end if;
    answer_position := 0;
    v_hash := decode(repeat('00', 32), 'hex');
  end if;

  select coalesce(h.version, 0),
         h.version is null or h.tenant = p_tenant and h.category = p_category and h.lane = p_lane,
         k.position, k.recorded_at, k.version, k.stream_id = p_stream and k.count = 1
  into answer_version, v_fits, v_known_position, v_known_recorded_at, v_known_version, v_is_same
  from (select) as one
  left join stream_head h on h.stream_id = p_stream
  left join event_key k on k.event_id = p_event_id;
  if v_known_position is not null then
    answer_code := case when v_is_same then 1 else 3 end;
    answer_position := v_known_position;
    answer_recorded_at := v_known_recorded_at;
    answer_version := v_known_version;
    return;
  end if;
  if not v_fits or v_lanes > 1 and lane_of_v1(p_tenant, v_lanes) <> p_lane then
    answer_code := 4;
    return;
  end if;
  if p_expected >= 0 and p_expected <> answer_version then
    answer_code := 2;
    answer_found := answer_version;
    return;
  end if;

  answer_code := 0;
  answer_position := answer_position + 1;
  answer_version := answer_version + 1;
  answer_recorded_at := greatest(clock_timestamp(), answer_recorded_at);
  if answer_position >= coalesce(v_next_partition, 0) then
    perform enter_partition_v1('event', p_lane, v_floor, answer_position);
  end if;
  v_hash := sha256(v_hash || leaf_v1(
    answer_position, p_lane, answer_recorded_at, p_event_id, p_stream, answer_version, p_schema_version, p_tenant,
    p_correlation, p_causation, v_category, v_event_type, p_trace_parent, p_actor, p_payload));
  with head as (
    insert into stream_head (stream_id, tenant, first_position, version, lane, category)
    values (p_stream, p_tenant, answer_position, answer_version, p_lane, p_category)
    on conflict (stream_id) do update set version = excluded.version
  ), key as (
    insert into event_key (event_id, stream_id, position, recorded_at, version, lane, ordinal, count)
    values (p_event_id, p_stream, answer_position, answer_recorded_at, answer_version, p_lane, 1, 1)
  )
  insert into event (position, lane, recorded_at, stream_id, event_id, tenant, correlation_id, causation_id,
                     version, category, event_type, schema_version, hash, trace_parent, actor, payload)
  values (answer_position, p_lane, answer_recorded_at, p_stream, p_event_id, p_tenant, p_correlation, p_causation,
          answer_version, p_category, p_event_type, p_schema_version, v_hash, p_trace_parent, p_actor, p_payload);
end $$;
