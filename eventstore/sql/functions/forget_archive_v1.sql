-- Forgets what is recorded of a partition that stands in the database still: its objects were lost, and it is to
-- be archived anew. Answers false when nothing is recorded. Refuses what was detached: that is all there is.
create function es.forget_archive_v1(p_from_position bigint) returns boolean
language plpgsql security definer
set search_path = es, pg_temp as $$
declare
  v_archive archive;
begin
  select * into v_archive from archive where from_position = p_from_position for update;
  if v_archive.from_position is null then
    return false;
  end if;
  if v_archive.detached_at is not null then
    raise exception 'partition % stands in the archive only', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  delete from archive_part where from_position = p_from_position;
  delete from archive_object where from_position = p_from_position;
  delete from archive_lane where from_position = p_from_position;
  delete from archive where from_position = p_from_position;
  return true;
end $$;
