-- Appends a batch of requests to one lane, in one statement and one transaction.
--
-- Each element of the p_stream.. arrays is one stream of one request (p_request numbers them, ascending);
-- the p_event_id.. arrays hold the events of all of them, in the same order, p_event_count each.
-- Answers one row per request; a request that fails fails alone, without an exception:
--   0 appended: its last position, its time, the version of each of its streams
--   1 the same event ids stand already: the first answer again
--   2 conflict: answer_stream (1-based within the request) is at version answer_found
--   3 one of the event ids belongs to another append
--   4 refused: the stream belongs to another tenant, category or lane, or is named twice in the request
-- The settings below keep a plan cached on an empty table from scanning a big one, JIT out of the way, and
-- the planner from being asked at every call (a third of the time of a lone append).
create function es.append_v1(
  p_lane smallint,
  p_request integer[], p_stream uuid[], p_tenant uuid[], p_category smallint[],
  p_expected integer[], p_event_count integer[],
  p_event_id uuid[], p_event_type smallint[], p_schema_version smallint[], p_payload bytea[],
  p_correlation uuid[], p_causation uuid[], p_trace_parent text[], p_actor text[]
) returns table (
  answer_request integer, answer_code smallint, answer_position bigint, answer_recorded_at timestamptz,
  answer_versions integer[], answer_stream integer, answer_found integer
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
  v_base bigint;
  v_last bigint;                        -- the last position handed out so far
  v_previous_hash bytea;
  v_recorded_at timestamptz;
  v_streams integer := cardinality(p_stream);
  v_events integer := cardinality(p_event_id);
  -- One per stream of a request:
  v_previous integer[];                 -- the element that last named the same stream, 0 if none
  v_version integer[];                  -- the stream's version: before it, then after it
  v_owner uuid[];                       -- the stream's tenant, null when there is no stream
  v_kind smallint[];                    -- the stream's category
  v_at_lane smallint[];
  v_accepted boolean[] := array_fill(false, array[v_streams]);
  v_first_event integer[] := array_fill(0, array[v_streams]);
  v_first_position bigint[] := array_fill(0::bigint, array[v_streams]);
  v_first_version integer[] := array_fill(0, array[v_streams]);
  v_request_event integer[] := array_fill(0, array[v_streams]);
  v_request_events integer[] := array_fill(0, array[v_streams]);
  -- One per event:
  v_stream_of integer[] := array_fill(null::integer, array[v_events]);
  v_leaf bytea[];
  v_hash bytea[] := array_fill(null::bytea, array[v_events]);
  -- What event_key says of the events; filled only when it knows any of them:
  v_known integer;
  v_key_stream uuid[];
  v_key_position bigint[];
  v_key_recorded_at timestamptz[];
  v_key_version integer[];
  v_key_ordinal smallint[];
  v_key_count smallint[];
  v_first integer := 1;                 -- the request's first stream,
  v_end integer;                        -- its last,
  v_event integer := 1;                 -- its first event,
  v_count integer;                      -- and how many it has
  v_next integer;
  e integer;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'append needs READ COMMITTED: an older snapshot would hide what the lock was waited for';
  end if;
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  select lanes into v_lanes from setting;
  perform pg_advisory_xact_lock(x'6573'::int, p_lane);

  select floor into strict v_floor from lane where lane = p_lane and lane >= 0;
  select position, hash, recorded_at into v_base, v_previous_hash, v_recorded_at
  from event where lane = p_lane and position >= v_floor order by position desc limit 1;
  if v_base is null and v_floor > 1 then
    raise exception 'lane % is damaged: nothing stands from position % on', p_lane, v_floor
      using errcode = 'data_corrupted';
  end if;
  v_base := coalesce(v_base, 0);
  v_last := v_base;
  v_previous_hash := coalesce(v_previous_hash, decode(repeat('00', 32), 'hex'));
  v_recorded_at := greatest(clock_timestamp(), v_recorded_at);

  select array_agg(coalesce(u.previous, 0) order by u.i), array_agg(coalesce(h.version, 0) order by u.i),
         array_agg(h.tenant order by u.i), array_agg(h.category order by u.i), array_agg(h.lane order by u.i)
  into v_previous, v_version, v_owner, v_kind, v_at_lane
  from (select i, stream, lag(i) over (partition by stream order by i) as previous
        from unnest(p_stream) with ordinality as n(stream, i)) as u
  left join stream_head h on h.stream_id = u.stream;

  select count(*) into v_known from unnest(p_event_id) as n(id) join event_key k on k.event_id = n.id;
  if v_known > 0 then
    select array_agg(k.stream_id order by n.i), array_agg(k.position order by n.i),
           array_agg(k.recorded_at order by n.i), array_agg(k.version order by n.i),
           array_agg(k.ordinal order by n.i), array_agg(k.count order by n.i)
    into v_key_stream, v_key_position, v_key_recorded_at, v_key_version, v_key_ordinal, v_key_count
    from unnest(p_event_id) with ordinality as n(id, i) left join event_key k on k.event_id = n.id;
  end if;

  while v_first <= v_streams loop
    v_end := v_first;
    v_count := p_event_count[v_first];
    while v_end < v_streams and p_request[v_end + 1] = p_request[v_first] loop
      v_end := v_end + 1;
      v_count := v_count + p_event_count[v_end];
    end loop;
    answer_request := p_request[v_first];
    answer_code := 0;
    answer_versions := null;
    answer_stream := null;
    answer_found := null;
    answer_position := null;
    answer_recorded_at := null;

    if v_known > 0 then
      e := v_event;
      for s in v_first..v_end loop
        for k in 1..p_event_count[s] loop
          if v_key_position[e] is not null then
            answer_code := greatest(answer_code, 1);
          end if;
          e := e + 1;
        end loop;
      end loop;
      if answer_code = 1 then
        e := v_event;
        for s in v_first..v_end loop
          for k in 1..p_event_count[s] loop
            if v_key_stream[e] is distinct from p_stream[s] or v_key_ordinal[e] <> e - v_event + 1
              or v_key_count[e] <> v_count or v_key_position[e] <> v_key_position[v_event] + e - v_event
            then
              answer_code := 3;
            end if;
            e := e + 1;
          end loop;
          answer_versions := answer_versions || v_key_version[e - 1];
        end loop;
        answer_position := v_key_position[e - 1];
        answer_recorded_at := v_key_recorded_at[e - 1];
      end if;
    end if;

    -- What an earlier request of this batch left behind counts as the stream's state.
    for s in v_first..v_end loop
      v_next := v_previous[s];
      if v_next > 0 then
        v_version[s] := v_version[v_next];
        v_owner[s] := v_owner[v_next];
        v_kind[s] := v_kind[v_next];
        v_at_lane[s] := v_at_lane[v_next];
      end if;
      if answer_code = 0 then
        if v_next >= v_first
          or v_version[s] > 0
            and (v_owner[s] <> p_tenant[s] or v_kind[s] <> p_category[s] or v_at_lane[s] <> p_lane)
          or v_lanes > 1 and lane_of_v1(p_tenant[s], v_lanes) <> p_lane
        then
          answer_code := 4;
          answer_stream := s - v_first + 1;
        elsif p_expected[s] >= 0 and p_expected[s] <> v_version[s] then
          answer_code := 2;
          answer_stream := s - v_first + 1;
          answer_found := v_version[s];
        end if;
      end if;
    end loop;

    if answer_code = 0 then
      e := v_event;
      for s in v_first..v_end loop
        v_accepted[s] := true;
        v_first_event[s] := e;
        v_first_position[s] := v_last + 1;
        v_first_version[s] := v_version[s] + 1;
        v_request_event[s] := v_event;
        v_request_events[s] := v_count;
        v_version[s] := v_version[s] + p_event_count[s];
        v_owner[s] := p_tenant[s];
        v_kind[s] := p_category[s];
        v_at_lane[s] := p_lane;
        for k in 1..p_event_count[s] loop
          v_stream_of[e] := s;
          e := e + 1;
        end loop;
        v_last := v_last + p_event_count[s];
        answer_versions := answer_versions || v_version[s];
      end loop;
      answer_position := v_last;
      answer_recorded_at := v_recorded_at;
    end if;
    return next;
    v_first := v_end + 1;
    v_event := v_event + v_count;
  end loop;

  if v_last = v_base then
    return;
  end if;
  perform enter_partition_v1('event', p_lane, v_floor, v_last);

  select array_agg(
    case when n.s is not null then
      leaf_v1(v_first_position[n.s] + n.i - v_first_event[n.s], p_lane, v_recorded_at, n.event_id, p_stream[n.s],
              (v_first_version[n.s] + n.i - v_first_event[n.s])::integer, n.schema_version, p_tenant[n.s],
              n.correlation, n.causation, c.name, t.name, n.trace_parent, n.actor, n.payload)
    end order by n.i)
  into v_leaf
  from unnest(v_stream_of, p_event_id, p_event_type, p_schema_version, p_payload, p_correlation, p_causation,
              p_trace_parent, p_actor) with ordinality
    as n(s, event_id, event_type, schema_version, payload, correlation, causation, trace_parent, actor, i)
  left join category c on c.id = p_category[n.s]
  left join event_type t on t.id = n.event_type;
  for e in 1..v_events loop
    if v_stream_of[e] is not null then
      v_previous_hash := sha256(v_previous_hash || v_leaf[e]);
      v_hash[e] := v_previous_hash;
    end if;
  end loop;

  insert into event (position, lane, recorded_at, stream_id, event_id, tenant, correlation_id, causation_id,
                     version, category, event_type, schema_version, hash, trace_parent, actor, payload)
  select v_first_position[n.s] + n.i - v_first_event[n.s], p_lane, v_recorded_at, p_stream[n.s], n.event_id,
         p_tenant[n.s], n.correlation, n.causation, v_first_version[n.s] + n.i - v_first_event[n.s],
         p_category[n.s], n.event_type, n.schema_version, n.hash, n.trace_parent, n.actor, n.payload
  from unnest(v_stream_of, v_hash, p_event_id, p_event_type, p_schema_version, p_payload, p_correlation,
              p_causation, p_trace_parent, p_actor) with ordinality
    as n(s, hash, event_id, event_type, schema_version, payload, correlation, causation, trace_parent, actor, i)
  where n.s is not null;

  insert into event_key (event_id, stream_id, position, recorded_at, version, lane, ordinal, count)
  select n.event_id, p_stream[n.s], v_first_position[n.s] + n.i - v_first_event[n.s], v_recorded_at,
         v_first_version[n.s] + n.i - v_first_event[n.s], p_lane, n.i - v_request_event[n.s] + 1,
         v_request_events[n.s]
  from unnest(v_stream_of, p_event_id) with ordinality as n(s, event_id, i)
  where n.s is not null;

  insert into stream_head (stream_id, tenant, first_position, version, lane, category)
  select n.stream, n.tenant, min(n.first_position), max(n.version), p_lane, n.category
  from unnest(p_stream, p_tenant, p_category, v_version, v_first_position, v_accepted)
    as n(stream, tenant, category, version, first_position, accepted)
  where n.accepted
  group by n.stream, n.tenant, n.category
  on conflict (stream_id) do update set version = excluded.version;
end $$;
