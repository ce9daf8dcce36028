-- The hash that the event at a position is chained to: of the event before it, in the log or archived before
-- it; null when neither is known.
create function es.hash_before_v1(p_lane smallint, p_position bigint) returns bytea
language sql stable security definer
set search_path = es, pg_temp as $$
  select coalesce(
    (select hash from event where lane = p_lane and position = p_position - 1),
    (select l.end_hash from archive_lane l join archive a using (from_position)
     where l.lane = p_lane and a.to_position = p_position),
    case when p_position = 1 then decode(repeat('00', 32), 'hex') end
  )
$$;
