-- Drops the oldest partition of pulses when it is full and its youngest pulse older than `p_keep`. Answers
-- where it began; null when there is nothing to drop.
create function es.drop_pulse_partition_v1(p_keep interval) returns bigint
language plpgsql security definer
set search_path = es, pg_temp
set lock_timeout = '200ms' as $$
declare
  v_from bigint;
  v_to bigint;
begin
  perform pg_advisory_xact_lock(x'6573'::int, 10004);
  select from_position, to_position into v_from, v_to
  from partition where log = 'pulse' order by from_position limit 1;
  if p_keep < interval '0' or (select floor from lane where lane = -1) < v_to
    or (select recorded_at from pulse where position = v_to - 1) > clock_timestamp() - p_keep
  then
    return null;
  end if;
  lock table pulse in access exclusive mode;
  execute format('drop table es.%I', 'pulse_from_' || v_from);
  delete from partition where log = 'pulse' and from_position = v_from;
  return v_from;
end $$;
