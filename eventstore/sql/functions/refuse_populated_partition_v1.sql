-- Raises unless the partition of the ledger is full in every lane: the one that a lane still writes to, and
-- those ahead of it, stay.
create function es.refuse_populated_partition_v1(p_from_position bigint) returns void
language plpgsql stable set search_path = es, pg_temp as $$
declare
  v_to bigint;
begin
  select to_position into v_to from partition where log = 'event' and from_position = p_from_position;
  if v_to is null then
    raise exception 'there is no partition from position %', p_from_position
      using errcode = 'invalid_parameter_value';
  end if;
  if exists (select from lane where lane >= 0 and floor < v_to) then
    raise exception 'partition % is not full in every lane: it stays', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
end $$;
