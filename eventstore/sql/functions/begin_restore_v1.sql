-- Makes an empty table beside the ledger, for the events of an archived partition. Only the newest archived one
-- comes back: what is archived stays the beginning of the log. What an earlier try left behind is thrown away.
create function es.begin_restore_v1(p_from_position bigint) returns void
language plpgsql security definer
set search_path = es, pg_temp
set lock_timeout = '2s' as $$
declare
  v_archive archive;
  v_name text := 'event_from_' || p_from_position;
begin
  select * into v_archive from archive where from_position = p_from_position for update;
  if v_archive.dropped_at is null or v_archive.deleted_at is not null then
    raise exception 'partition % is not archived, or was deleted', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  if exists (select from archive where from_position > p_from_position and detached_at is not null) then
    raise exception 'a newer partition than % is archived: bring it back first', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  execute format('drop table if exists es.%I', v_name);
  execute format('create table es.%I (like es.event including defaults including storage)', v_name);
  execute format('grant insert on es.%I to es_archive', v_name);
end $$;
