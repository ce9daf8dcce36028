-- Takes a partition out of the ledger once it is recorded as archived and verified; its table still stands
-- beside. Answers false when it is detached already. The lock that this takes waits for every reader of the
-- ledger and keeps appends waiting meanwhile: it gives up soon, and the caller tries again later.
create function es.detach_partition_v1(p_from_position bigint) returns boolean
language plpgsql security definer
set search_path = es, pg_temp
set lock_timeout = '200ms' as $$
declare
  v_archive archive;
begin
  select * into v_archive from archive where from_position = p_from_position for update;
  if v_archive.verified_at is null then
    raise exception 'partition % is not recorded as archived and verified', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if v_archive.detached_at is not null then
    return false;
  end if;
  if v_archive.hold_until > clock_timestamp() then
    raise exception 'partition % is held in the database until %', p_from_position, v_archive.hold_until
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if exists (select from partition where log = 'event' and from_position < p_from_position) then
    -- Readers rely on it: what is archived is always the beginning of the log.
    raise exception 'an older partition than % stands in the database still', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  perform refuse_populated_partition_v1(p_from_position);
  lock table event in access exclusive mode;
  execute format('alter table es.event detach partition es.%I', 'event_from_' || p_from_position);
  delete from partition where log = 'event' and from_position = p_from_position;
  update archive set detached_at = clock_timestamp(), hold_until = null where from_position = p_from_position;
  return true;
end $$;
