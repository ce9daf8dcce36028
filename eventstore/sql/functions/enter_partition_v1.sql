-- For append_v1 and append_pulse_v1, under the lane's lock: makes room up to `p_last`, and moves the lane's
-- floor when `p_last` lies in a later partition.
create function es.enter_partition_v1(p_log text, p_lane smallint, p_floor bigint, p_last bigint) returns void
language plpgsql set search_path = es, pg_temp as $$
declare
  v_from bigint;
begin
  if (select max(from_position) from partition where log = p_log) <= p_last then
    begin
      perform create_partitions_ahead_v1(p_log, p_last);
    exception when lock_not_available then
      -- Somebody holds the table (ANALYZE, say). There may be room still; the next append tries again.
      raise warning 'no partition of es.% could be created ahead: the table is locked', p_log;
    end;
  end if;
  select max(from_position) into v_from from partition where log = p_log and from_position <= p_last;
  if v_from > p_floor then
    update lane set floor = v_from where lane = p_lane;
  end if;
end $$;
