-- Appends a batch of requests to one lane, in one statement and one transaction. It keeps the promises of
-- append_v1, takes the same lock, and may be used beside it; it costs less than half.
--
-- Each element of the p_stream.. arrays is one stream of one request (p_request numbers them from 1 on); the
-- p_event_id.. arrays hold the events of all of them, in the same order, p_event_count each.
-- The answer is one row. answer_codes is null when every request was appended: the events stand from
-- answer_base + 1 on, recorded at answer_recorded_at, and answer_versions is what each stream is at now.
-- Otherwise there is, for each request, what judge_v2 says.
--
-- Each statement and each expression of PL/pgSQL takes one to ten microseconds to start, and a lone append
-- starts them all: hence few of them, each for the whole batch. A batch of one stream, or of one stream for
-- each request and none twice, all of which fit, needs no judging. The settings keep a plan cached on an
-- empty table from scanning a big one, JIT out of the way, and the planner from being asked at every call.
create function es.append_v2(
  p_lane smallint,
  p_request integer[], p_stream uuid[], p_tenant uuid[], p_category smallint[],
  p_expected integer[], p_event_count integer[],
  p_event_id uuid[], p_event_type smallint[], p_schema_version smallint[], p_payload bytea[],
  p_correlation uuid[], p_causation uuid[], p_trace_parent text[], p_actor text[],
  out answer_base bigint, out answer_recorded_at timestamptz, out answer_versions integer[],
  out answer_codes smallint[], out answer_positions bigint[], out answer_times timestamptz[],
  out answer_streams integer[], out answer_found integer[]
)
language plpgsql security definer
set search_path = es, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan as $$
declare
  v_streams integer := cardinality(p_stream);
  v_events integer := cardinality(p_event_id);
  v_lanes smallint;
  v_floor bigint;
  v_next_partition bigint;
  v_locked text;
  v_hash bytea;
  v_plain boolean;
  v_version integer;
  -- One per stream of a request; the first three are added to the number of an event within the batch:
  v_to_position bigint[];
  v_to_version integer[];
  v_to_ordinal integer[];
  v_count integer[];                    -- how many events its request has
  v_head smallint[];                    -- 1: a new stream; 2: one that moves on; 0: nothing to write of it
  v_first_position bigint[];
  -- One per event:
  v_stream_of integer[];                -- which of the streams; null when it was not accepted
  v_leaves bytea[];
  v_hashes bytea[] := '{}';
  v_leaf bytea;
  v_last bigint;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'append needs READ COMMITTED: an older snapshot would hide what the lock was waited for';
  end if;
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  -- What is read on the way to the lock may be old when the lock is there. An older floor is right too: one
  -- more partition is looked at, and enter_partition_v1 is asked once more than needed.
  select s.lanes, l.floor,
         (select min(from_position) from partition where log = 'event' and from_position > l.floor),
         pg_advisory_xact_lock(x'6573'::int, p_lane)
  into strict v_lanes, v_floor, v_next_partition, v_locked
  from lane l, setting s where l.lane = p_lane and l.lane >= 0;

  select position, hash, recorded_at into answer_base, v_hash, answer_recorded_at
  from event where lane = p_lane and position >= v_floor order by position desc limit 1;
  if answer_base is null then
    if v_floor > 1 then
      raise exception 'lane % is damaged: nothing stands from position % on', p_lane, v_floor
        using errcode = 'data_corrupted';
    end if;
    answer_base := 0;
    v_hash := decode(repeat('00', 32), 'hex');
  end if;
  answer_recorded_at := greatest(clock_timestamp(), answer_recorded_at);
  v_last := answer_base + v_events;

  if v_streams = 1 then
    select coalesce(h.version, 0),
           (h.version is null or h.tenant = p_tenant[1] and h.category = p_category[1] and h.lane = p_lane)
           and (p_expected[1] < 0 or p_expected[1] = coalesce(h.version, 0))
           and (v_lanes = 1 or lane_of_v1(p_tenant[1], v_lanes) = p_lane)
           and not exists (select from event_key k where k.event_id = any (p_event_id))
    into v_version, v_plain
    from (select) as one left join stream_head h on h.stream_id = p_stream[1];
    v_to_position := array[answer_base];
    v_to_version := array[v_version];
    v_to_ordinal := '{0}';
    v_count := array[v_events];
    v_head := array[case v_version when 0 then 1 else 2 end];
    v_first_position := array[answer_base + 1];
    v_stream_of := array_fill(1, array[v_events]);
    answer_versions := array[v_version + v_events];
  elsif p_request[v_streams] = v_streams then
    select array_agg(answer_base order by n.i), array_agg(n.version - n.before order by n.i),
           array_agg(-n.before order by n.i), array_agg(n.events order by n.i),
           array_agg(case n.version when 0 then 1 else 2 end order by n.i),
           array_agg(answer_base + n.before + 1 order by n.i), array_agg(n.version + n.events order by n.i),
           bool_and(n.fits and (n.expected < 0 or n.expected = n.version))
           and count(distinct n.stream) = v_streams
           and not exists (select from event_key k where k.event_id = any (p_event_id))
    into v_to_position, v_to_version, v_to_ordinal, v_count, v_head, v_first_position, answer_versions, v_plain
    from (
      select u.i, u.stream, u.expected, u.events, coalesce(h.version, 0) as version,
             sum(u.events) over (order by u.i) - u.events as before,
             (h.version is null or h.tenant = u.tenant and h.category = u.category and h.lane = p_lane)
             and (v_lanes = 1 or lane_of_v1(u.tenant, v_lanes) = p_lane) as fits
      from unnest(p_stream, p_tenant, p_category, p_expected, p_event_count) with ordinality
        as u(stream, tenant, category, expected, events, i)
      left join stream_head h on h.stream_id = u.stream
    ) as n;
    v_stream_of := array(
      select u.i from unnest(p_event_count) with ordinality as u(events, i), generate_series(1, u.events)
      order by u.i
    );
    v_plain := v_plain and cardinality(v_stream_of) = v_events;
  else
    v_plain := false;
  end if;
  if not v_plain then
    select * from judge_v2(p_lane, v_lanes, answer_base, answer_recorded_at, p_request, p_stream, p_tenant,
                           p_category, p_expected, p_event_count, p_event_id)
    into answer_codes, answer_positions, answer_times, answer_versions, answer_streams, answer_found, v_last,
         v_to_position, v_to_version, v_to_ordinal, v_count, v_head, v_first_position, v_stream_of;
    if v_last = answer_base then
      return;
    end if;
  end if;
  if v_last >= coalesce(v_next_partition, 0) then
    perform enter_partition_v1('event', p_lane, v_floor, v_last);
  end if;

  v_leaves := array(
    select leaf_v1(v_to_position[n.s] + n.i, p_lane, answer_recorded_at, n.event_id, p_stream[n.s],
                   (v_to_version[n.s] + n.i)::integer, n.schema_version, p_tenant[n.s], n.correlation,
                   n.causation, c.name, t.name, n.trace_parent, n.actor, n.payload)
    from unnest(v_stream_of, p_event_id, p_event_type, p_schema_version, p_payload, p_correlation, p_causation,
                p_trace_parent, p_actor) with ordinality
      as n(s, event_id, event_type, schema_version, payload, correlation, causation, trace_parent, actor, i)
    left join category c on c.id = p_category[n.s]
    left join event_type t on t.id = n.event_type
    order by n.i
  );
  foreach v_leaf in array v_leaves loop
    v_hash := coalesce(sha256(v_hash || v_leaf), v_hash);
    v_hashes := v_hashes || v_hash;
  end loop;

  if 1 = any (v_head) then
    insert into stream_head (stream_id, tenant, first_position, version, lane, category)
    select n.stream, n.tenant, n.first_position, n.version, p_lane, n.category
    from unnest(p_stream, p_tenant, p_category, v_first_position, answer_versions, v_head)
      as n(stream, tenant, category, first_position, version, head)
    where n.head = 1;
  end if;
  if 2 = any (v_head) then
    update stream_head h set version = n.version
    from unnest(p_stream, answer_versions, v_head) as n(stream, version, head)
    where n.head = 2 and h.stream_id = n.stream;
  end if;
  with key as (
    insert into event_key (event_id, stream_id, position, recorded_at, version, lane, ordinal, count)
    select n.event_id, p_stream[n.s], v_to_position[n.s] + n.i, answer_recorded_at, v_to_version[n.s] + n.i,
           p_lane, v_to_ordinal[n.s] + n.i, v_count[n.s]
    from unnest(v_stream_of, p_event_id) with ordinality as n(s, event_id, i)
    where n.s is not null
  )
  insert into event (position, lane, recorded_at, stream_id, event_id, tenant, correlation_id, causation_id,
                     version, category, event_type, schema_version, hash, trace_parent, actor, payload)
  select v_to_position[n.s] + n.i, p_lane, answer_recorded_at, p_stream[n.s], n.event_id, p_tenant[n.s],
         n.correlation, n.causation, v_to_version[n.s] + n.i, p_category[n.s], n.event_type, n.schema_version,
         n.hash, n.trace_parent, n.actor, n.payload
  from unnest(v_stream_of, v_hashes, p_event_id, p_event_type, p_schema_version, p_payload, p_correlation,
              p_causation, p_trace_parent, p_actor) with ordinality
    as n(s, hash, event_id, event_type, schema_version, payload, correlation, causation, trace_parent, actor, i)
  where n.s is not null;
end $$;
