-- Marks an archived partition as deleted once its youngest event is older than `p_keep`: from then on readers
-- are told so; the objects are removed next, and erase_archive_v1 says when that was done. The oldest goes
-- first, so that what is left of a lane has a beginning. Answers false when it is deleted already.
create function es.delete_archive_v1(p_from_position bigint, p_keep interval) returns boolean
language plpgsql security definer
set search_path = es, pg_temp as $$
declare
  v_archive archive;
begin
  select * into v_archive from archive where from_position = p_from_position for update;
  if v_archive.dropped_at is null then
    raise exception 'partition % is not archived, or stands in the database still', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if v_archive.deleted_at is not null then
    return false;
  end if;
  if p_keep < interval '0' or v_archive.last_recorded_at > clock_timestamp() - p_keep then
    raise exception 'partition % holds events that are to be kept', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if exists (select from partition where log = 'event' and from_position < p_from_position)
    or exists (select from archive where from_position < p_from_position and deleted_at is null)
  then
    raise exception 'an older partition than % is not deleted yet', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  update archive set deleted_at = clock_timestamp() where from_position = p_from_position;
  return true;
end $$;

create function es.erase_archive_v1(p_from_position bigint) returns boolean
language plpgsql security definer
set search_path = es, pg_temp as $$
begin
  update archive set erased_at = clock_timestamp()
  where from_position = p_from_position and deleted_at is not null and erased_at is null;
  if not found then
    return false;
  end if;
  delete from archive_part where from_position = p_from_position;
  return true;
end $$;
