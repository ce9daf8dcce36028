-- Appends what was copied into this connection's import_row to one lane: all of it, or nothing.
--
-- In one statement, under the lane's lock and chained like any other append; recorded_at is now, because it
-- says when an event was recorded here. Appends that stand already are passed over. If one does not fit,
-- nothing is written and refused_request names it, with the code that judge_v2 would give.
create function es.import_v1(
  p_lane smallint,
  out imported bigint, out passed_over bigint, out last_position bigint,
  out refused_request integer, out refused_code smallint, out refused_found integer
)
language plpgsql security definer
set search_path = es, pg_temp
set jit = off
set plan_cache_mode = force_custom_plan as $$
declare
  v_lanes smallint;
  v_floor bigint;
  v_base bigint;
  v_hash bytea;
  v_recorded_at timestamptz;
  v_leaves bytea[];
  v_hashes bytea[] := '{}';
  v_leaf bytea;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'import needs READ COMMITTED: an older snapshot would hide what the lock was waited for';
  end if;
  if not exists (select from pg_class where oid = to_regclass('pg_temp.import_row') and relkind = 'r'
                 and relowner = 'es_owner'::regrole)
  then
    raise exception 'import needs a table that open_import_v1 has made' using errcode = 'undefined_table';
  end if;
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  perform pg_advisory_xact_lock(x'6573'::int, p_lane);
  select s.lanes, l.floor into strict v_lanes, v_floor
  from lane l, setting s where l.lane = p_lane and l.lane >= 0;
  select position, hash, recorded_at into v_base, v_hash, v_recorded_at
  from event where lane = p_lane and position >= v_floor order by position desc limit 1;
  if v_base is null and v_floor > 1 then
    raise exception 'lane % is damaged: nothing stands from position % on', p_lane, v_floor
      using errcode = 'data_corrupted';
  end if;
  v_base := coalesce(v_base, 0);
  v_hash := coalesce(v_hash, decode(repeat('00', 32), 'hex'));
  v_recorded_at := greatest(clock_timestamp(), v_recorded_at);

  -- What stands already, whole and in its place, is passed over; a part of it is another append.
  passed_over := 0;
  if exists (select from event_key k where k.event_id = any (array(select event_id from pg_temp.import_row))) then
    with known as (
      select r.request, min(r.count) as count, count(*) as events,
             bool_and(k.stream_id = r.stream_id and k.ordinal = r.ordinal and k.count = r.count)
             and max(k.position) - min(k.position) = count(*) - 1 as same
      from pg_temp.import_row r join event_key k on k.event_id = r.event_id
      group by r.request
    ), gone as (
      delete from pg_temp.import_row r
      using known k where k.request = r.request and k.same and k.events = k.count
      returning r.number
    )
    select (select min(k.request) from known k where not (k.same and k.events = k.count)),
           (select count(*) from gone)
    into refused_request, passed_over;
    if refused_request is not null then
      refused_code := 3;
      truncate pg_temp.import_row;
      return;
    end if;
  end if;

  select n.request, case when n.fits then 2 else 4 end, case when n.fits then n.version end
  into refused_request, refused_code, refused_found
  from (
    select r.number, r.request, r.expected, r.ordinal,
           coalesce(h.version, 0) + row_number() over mentions - r.ordinal as version,
           coalesce(h.tenant, first_value(r.tenant) over mentions) = r.tenant
           and coalesce(h.category, first_value(r.category) over mentions) = r.category
           and coalesce(h.lane, p_lane) = p_lane
           and (v_lanes = 1 or lane_of_v1(r.tenant, v_lanes) = p_lane) as fits
    from pg_temp.import_row r left join stream_head h on h.stream_id = r.stream_id
    window mentions as (partition by r.stream_id order by r.number)
  ) as n
  where not n.fits or n.expected >= 0 and n.expected <> n.version
  order by n.number limit 1;
  if refused_request is not null then
    truncate pg_temp.import_row;
    return;
  end if;

  select count(*) into imported from pg_temp.import_row;
  last_position := v_base + imported;
  if imported = 0 then
    truncate pg_temp.import_row;
    return;
  end if;
  perform enter_partition_v1('event', p_lane, v_floor, last_position);
  v_leaves := array(
    select leaf_v1(v_base + row_number() over (order by r.number), p_lane, v_recorded_at, r.event_id, r.stream_id,
                   (coalesce(h.version, 0) + row_number() over (partition by r.stream_id order by r.number))::integer,
                   r.schema_version, r.tenant, r.correlation_id, r.causation_id, c.name, t.name, r.trace_parent,
                   r.actor, r.payload)
    from pg_temp.import_row r
    left join stream_head h on h.stream_id = r.stream_id
    join category c on c.id = r.category
    join event_type t on t.id = r.event_type
    order by r.number
  );
  foreach v_leaf in array v_leaves loop
    v_hash := sha256(v_hash || v_leaf);
    v_hashes := v_hashes || v_hash;
  end loop;
  with placed as materialized (
    select r.*, row_number() over (order by r.number) as place,
           coalesce(h.version, 0) + row_number() over (partition by r.stream_id order by r.number) as version
    from pg_temp.import_row r left join stream_head h on h.stream_id = r.stream_id
  ), head as (
    insert into stream_head (stream_id, tenant, first_position, version, lane, category)
    select p.stream_id, p.tenant, min(v_base + p.place), max(p.version), p_lane, p.category
    from placed p group by p.stream_id, p.tenant, p.category
    on conflict (stream_id) do update set version = excluded.version
  ), key as (
    insert into event_key (event_id, stream_id, position, recorded_at, version, lane, ordinal, count)
    select p.event_id, p.stream_id, v_base + p.place, v_recorded_at, p.version, p_lane, p.ordinal, p.count
    from placed p order by p.place
  )
  insert into event (position, lane, recorded_at, stream_id, event_id, tenant, correlation_id, causation_id,
                     version, category, event_type, schema_version, hash, trace_parent, actor, payload)
  select v_base + p.place, p_lane, v_recorded_at, p.stream_id, p.event_id, p.tenant, p.correlation_id,
         p.causation_id, p.version, p.category, p.event_type, p.schema_version, n.hash,
         p.trace_parent, p.actor, p.payload
  from placed p join unnest(v_hashes) with ordinality as n(hash, place) on n.place = p.place
  order by p.place;
  truncate pg_temp.import_row;
end $$;
