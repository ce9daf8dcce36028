-- Takes a restored partition back, once its rows are what the archive says: as many as there were, each chained
-- to the one before it. Nobody can add to the table meanwhile. What takes long is done first; the lock on the
-- ledger is short, and given up soon: then everything is rolled back, and the caller tries again.
create function es.attach_restored_v1(p_from_position bigint, p_hold interval) returns void
language plpgsql security definer
set search_path = es, pg_temp
set lock_timeout = '200ms'
set jit = off as $$
declare
  v_archive archive;
  v_name text := 'event_from_' || p_from_position;
  v_bad record;
  v_rows bigint;
begin
  select * into v_archive from archive where from_position = p_from_position for update;
  if v_archive.dropped_at is null or v_archive.deleted_at is not null
    or exists (select from archive where from_position > p_from_position and detached_at is not null)
  then
    raise exception 'partition % cannot be taken back', p_from_position
      using errcode = 'object_not_in_prerequisite_state';
  end if;
  execute format('revoke all on es.%I from es_archive', v_name);
  execute format('lock table es.%I in share mode', v_name);
  execute format('select count(*) from es.%I', v_name) into v_rows;
  execute format(
    'select lane, position from (
       select e.lane, e.position, e.hash, lag(e.hash, 1, l.hash_before) over in_order as previous,
              lag(e.position, 1, $1 - 1) over in_order as before,
              leaf_v1(e.position, e.lane, e.recorded_at, e.event_id, e.stream_id, e.version, e.schema_version,
                      e.tenant, e.correlation_id, e.causation_id, c.name, t.name, e.trace_parent, e.actor,
                      e.payload) as leaf
       from es.%I e join archive_lane l on l.from_position = $1 and l.lane = e.lane
       left join category c on c.id = e.category left join event_type t on t.id = e.event_type
       window in_order as (partition by e.lane order by e.position)) walked
     where position <> before + 1 or hash is distinct from sha256(previous || leaf) limit 1', v_name)
    into v_bad using p_from_position;
  if v_rows <> v_archive.events or v_bad.position is not null then
    raise exception 'what was restored of partition % is not what was archived: % of % events, position %',
      p_from_position, v_rows, v_archive.events, v_bad.position using errcode = 'data_corrupted';
  end if;

  -- With its indexes and this check in place, attaching neither builds nor scans anything.
  execute format('alter table es.%I add primary key (lane, position)', v_name);
  execute format('create index on es.%I (tenant, position)', v_name);
  execute format('create index on es.%I (correlation_id, position) where correlation_id is not null', v_name);
  execute format('create index on es.%I using brin (recorded_at)', v_name);
  execute format('create unique index %I on es.%I (stream_id, version)', v_name || '_stream', v_name);
  execute format('alter table es.%I add constraint in_range check (position >= %s and position < %s)', v_name,
                 p_from_position, v_archive.to_position);
  perform make_append_only_v1(format('es.%I', v_name)::regclass);

  -- Exclusive: a statement that was planned without the partition must not see it taken back.
  lock table event in access exclusive mode;
  execute format('alter table es.event attach partition es.%I for values from (%s) to (%s)', v_name,
                 p_from_position, v_archive.to_position);
  execute format('alter table es.%I drop constraint in_range', v_name);
  insert into partition (log, from_position, to_position)
  values ('event', p_from_position, v_archive.to_position);
  update archive set detached_at = null, dropped_at = null, hold_until = clock_timestamp() + p_hold
  where from_position = p_from_position;
end $$;
