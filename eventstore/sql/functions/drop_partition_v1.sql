-- Drops the table of a partition that was detached. Answers false when it is gone already.
create function es.drop_partition_v1(p_from_position bigint) returns boolean
language plpgsql security definer
set search_path = es, pg_temp
set lock_timeout = '2s' as $$
declare
  v_archive archive;
begin
  select * into v_archive from archive where from_position = p_from_position for update;
  if v_archive.detached_at is null then
    raise exception 'partition % is not detached', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if v_archive.dropped_at is not null then
    return false;
  end if;
  execute format('drop table es.%I', 'event_from_' || p_from_position);
  update archive set dropped_at = clock_timestamp() where from_position = p_from_position;
  return true;
end $$;
