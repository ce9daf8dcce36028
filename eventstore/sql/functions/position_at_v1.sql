-- The last position of a lane that was recorded at an instant or before it. Positions are gapless and
-- recorded_at never falls within a lane, so the place is found by halving: log n looks into the primary key.
-- Positions that are no longer in the database count as recorded before every instant.
create function es.position_at_v1(p_lane smallint, p_instant timestamptz) returns bigint
language plpgsql stable set search_path = es, pg_temp as $$
declare
  v_known bigint;   -- recorded in time,
  v_beyond bigint;  -- recorded too late, or not at all
  v_middle bigint;
  v_recorded_at timestamptz;
begin
  if p_lane >= 0 then
    select position - 1 into v_known from event where lane = p_lane order by position limit 1;
    select position + 1 into v_beyond from event where lane = p_lane order by position desc limit 1;
  else
    select position - 1 into v_known from pulse order by position limit 1;
    select position + 1 into v_beyond from pulse order by position desc limit 1;
  end if;
  while v_beyond - v_known > 1 loop
    v_middle := (v_known + v_beyond) / 2;
    if p_lane >= 0 then
      select recorded_at into strict v_recorded_at from event where lane = p_lane and position = v_middle;
    else
      select recorded_at into strict v_recorded_at from pulse where position = v_middle;
    end if;
    if v_recorded_at <= p_instant then
      v_known := v_middle;
    else
      v_beyond := v_middle;
    end if;
  end loop;
  return coalesce(v_known, 0);
end $$;
