-- For append_v2, under the lane's lock: decides on each request of a batch, one after the other, and says
-- where the accepted ones go. A request that fails fails alone:
--   0 appended
--   1 the same event ids stand already: the first answer again
--   2 conflict: the stream (1-based within the request) is at the version found
--   3 one of the event ids belongs to another append
--   4 refused: the stream belongs to another tenant, category or lane, or is named twice in the request
-- codes, positions, times, streams and found_versions are one per request, versions one per stream of a request; the
-- rest is what append_v2 has under the same names.
create function es.judge_v2(
  p_lane smallint, p_lanes smallint, p_base bigint, p_recorded_at timestamptz,
  p_request integer[], p_stream uuid[], p_tenant uuid[], p_category smallint[],
  p_expected integer[], p_event_count integer[], p_event_id uuid[],
  out codes smallint[], out positions bigint[], out times timestamptz[], out versions integer[],
  out streams integer[], out found_versions integer[], out last_position bigint,
  out to_position bigint[], out to_version integer[], out to_ordinal integer[], out event_count integer[],
  out head smallint[], out first_position bigint[], out stream_of integer[]
)
language plpgsql set search_path = es, pg_temp as $$
declare
  v_streams integer := cardinality(p_stream);
  v_events integer := cardinality(p_event_id);
  v_state stream_head[];                -- per stream of a request: its head before it, then after it
  v_previous integer[];                 -- the element that named it before, if any
  v_wrote integer[];                    -- and the one that last wrote to it
  v_is_new boolean[];
  v_key event_key[];                    -- per event: what stands of it; null when nothing stands of any
  v_one stream_head;
  v_from integer := 1;                  -- the request's first stream,
  v_to integer;                         -- its last,
  v_event integer := 1;                 -- its first event,
  v_count integer;                      -- and how many it has
  v_code smallint;
  v_stream integer;
  v_found integer;
  e integer;
begin
  last_position := p_base;
  stream_of := array_fill(null::integer, array[v_events]);
  -- Whole from the start: an array begins where it was assigned to first.
  versions := array_fill(null::integer, array[v_streams]);
  to_position := array_fill(null::bigint, array[v_streams]);
  to_version := versions;
  to_ordinal := versions;
  event_count := versions;
  first_position := to_position;
  head := array_fill(0::smallint, array[v_streams]);
  v_wrote := array_fill(0, array[v_streams]);
  select array_agg(u.previous order by u.i), array_agg(h order by u.i), array_agg(h.version is null order by u.i)
  into v_previous, v_state, v_is_new
  from (select i, stream, lag(i) over (partition by stream order by i) as previous
        from unnest(p_stream) with ordinality as n(stream, i)) as u
  left join stream_head h on h.stream_id = u.stream;
  if exists (select from event_key k where k.event_id = any (p_event_id)) then
    v_key := array(select k from unnest(p_event_id) with ordinality as n(id, i)
                   left join event_key k on k.event_id = n.id order by n.i);
  end if;

  while v_from <= v_streams loop
    v_to := v_from;
    v_count := p_event_count[v_from];
    while v_to < v_streams and p_request[v_to + 1] = p_request[v_from] loop
      v_to := v_to + 1;
      v_count := v_count + p_event_count[v_to];
    end loop;
    v_code := 0;
    v_stream := null;
    v_found := null;

    if v_key is not null then
      for k in v_event .. v_event + v_count - 1 loop
        if (v_key[k]).position is not null then
          v_code := 1;
        end if;
      end loop;
      e := v_event;
      for s in v_from .. v_to loop
        exit when v_code = 0;
        for k in 1 .. p_event_count[s] loop
          if (v_key[e]).stream_id is distinct from p_stream[s] or (v_key[e]).ordinal <> e - v_event + 1
            or (v_key[e]).count <> v_count or (v_key[e]).position <> (v_key[v_event]).position + e - v_event
          then
            v_code := 3;
          end if;
          e := e + 1;
        end loop;
        versions[s] := (v_key[e - 1]).version;
      end loop;
    end if;

    -- What an earlier request of this batch left behind counts as the stream's state.
    for s in v_from .. v_to loop
      if v_previous[s] is not null then
        v_state[s] := v_state[v_previous[s]];
        v_wrote[s] := v_wrote[v_previous[s]];
      end if;
      if v_code = 0 then
        v_one := v_state[s];
        if v_previous[s] >= v_from
          or v_one.version > 0
            and (v_one.tenant <> p_tenant[s] or v_one.category <> p_category[s] or v_one.lane <> p_lane)
          or p_lanes > 1 and lane_of_v1(p_tenant[s], p_lanes) <> p_lane
        then
          v_code := 4;
          v_stream := s - v_from + 1;
        elsif p_expected[s] >= 0 and p_expected[s] <> coalesce(v_one.version, 0) then
          v_code := 2;
          v_stream := s - v_from + 1;
          v_found := coalesce(v_one.version, 0);
        end if;
      end if;
    end loop;

    codes := codes || v_code;
    streams := streams || v_stream;
    found_versions := found_versions || v_found;
    if v_code = 0 then
      e := v_event;
      for s in v_from .. v_to loop
        v_one := v_state[s];
        if v_wrote[s] > 0 then
          head[v_wrote[s]] := 0;
        end if;
        head[s] := case when v_is_new[s] then 1 else 2 end;
        v_wrote[s] := s;
        to_position[s] := last_position + 1 - e;
        to_version[s] := coalesce(v_one.version, 0) + 1 - e;
        to_ordinal[s] := 1 - v_event;
        event_count[s] := v_count;
        first_position[s] := coalesce(v_one.first_position, last_position + 1);
        versions[s] := coalesce(v_one.version, 0) + p_event_count[s];
        v_state[s] := row(p_stream[s], p_tenant[s], first_position[s], versions[s], p_lane, p_category[s]);
        for k in 1 .. p_event_count[s] loop
          stream_of[e] := s;
          e := e + 1;
        end loop;
        last_position := last_position + p_event_count[s];
      end loop;
      positions := positions || last_position;
      times := times || p_recorded_at;
    elsif v_code = 1 then
      positions := positions || (v_key[v_event]).position + v_count - 1;
      times := times || (v_key[v_event]).recorded_at;
    else
      positions := positions || null::bigint;
      times := times || null::timestamptz;
    end if;
    v_from := v_to + 1;
    v_event := v_event + v_count;
  end loop;
  if v_event <> v_events + 1 then
    raise exception 'the streams have % events, and % were given', v_event - 1, v_events
      using errcode = 'invalid_parameter_value';
  end if;
end $$;
