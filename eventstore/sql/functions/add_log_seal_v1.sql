-- Adds the next log seal of a lane. Answers false, and does nothing, when a seal of that number stands already:
-- of two sealers at once the later one finds its work done. Refuses what does not continue the last seal.
create function es.add_log_seal_v1(
  p_lane smallint, p_number bigint, p_from_position bigint, p_to_position bigint, p_log_id uuid,
  p_sealed_at timestamptz, p_root bytea, p_end_hash bytea, p_previous_hash bytea, p_public_key bytea,
  p_signature bytea
) returns boolean
language plpgsql security definer
set search_path = es, pg_temp as $$
declare
  v_last log_seal;
  v_hash bytea;
begin
  perform pg_advisory_xact_lock(x'6573'::int, 20000 + p_lane);
  select * into v_last from log_seal where lane = p_lane order by number desc limit 1;
  if p_number <= v_last.number then
    return false;
  end if;
  if v_last.number is not null then
    v_hash := log_seal_hash_v1(v_last);
  end if;
  if p_number <> coalesce(v_last.number, 0) + 1
    or p_from_position <> coalesce(v_last.to_position, 0) + 1
    or p_sealed_at < v_last.sealed_at
    or p_previous_hash <> coalesce(v_hash, decode(repeat('00', 32), 'hex'))
  then
    raise exception 'log seal % of lane % does not continue the last one', p_number, p_lane
      using errcode = 'integrity_constraint_violation';
  end if;
  if p_log_id is distinct from (select log_id from log_identity)
    or p_sealed_at > greatest(clock_timestamp(), v_last.sealed_at)
  then
    raise exception 'log seal % of lane % is of another log, or of another time', p_number, p_lane
      using errcode = 'integrity_constraint_violation';
  end if;
  if not exists (select from partition where log = 'event' and from_position <= p_from_position
                 and p_to_position < to_position)
  then
    raise exception 'log seal % of lane % spans a partition''s end', p_number, p_lane
      using errcode = 'integrity_constraint_violation';
  end if;
  select hash into v_hash from event where lane = p_lane and position = p_to_position;
  if v_hash is distinct from p_end_hash then
    raise exception 'log seal % of lane % does not end where the log says', p_number, p_lane
      using errcode = 'integrity_constraint_violation';
  end if;
  insert into log_seal (lane, number, from_position, to_position, log_id, sealed_at, root, end_hash,
                        previous_hash, public_key, signature)
  values (p_lane, p_number, p_from_position, p_to_position, p_log_id, p_sealed_at, p_root, p_end_hash,
          p_previous_hash, p_public_key, p_signature);
  return true;
end $$;
