-- Records a partition as archived and verified; the caller has read the objects back. Answers false when the
-- same stands recorded already. Refuses a partition that some lane has not passed yet, and one whose ends are
-- not where the log's chain says.
create function es.record_archive_v1(p_archive jsonb) returns boolean
language plpgsql security definer
set search_path = es, pg_temp as $$
declare
  v_new archive := jsonb_populate_record(null::archive, p_archive);
  v_lane record;
begin
  perform pg_advisory_xact_lock(x'6573'::int, 10004);
  if exists (select from archive where from_position = v_new.from_position) then
    if exists (select from archive_object o, jsonb_to_recordset(p_archive -> 'objects') as n(content text, sha256 text)
               where o.from_position = v_new.from_position and o.content = n.content
                 and o.sha256 <> decode(n.sha256, 'hex')) then
      raise exception 'partition % is archived already, with other bytes', v_new.from_position
        using errcode = 'integrity_constraint_violation';
    end if;
    return false;
  end if;
  perform refuse_populated_partition_v1(v_new.from_position);
  if v_new.to_position <> (select to_position from partition
                           where log = 'event' and from_position = v_new.from_position)
    or v_new.events <> (v_new.to_position - v_new.from_position) * (select lanes from setting)
    or (select count(*) from jsonb_to_recordset(p_archive -> 'lanes') as n(lane smallint))
      <> (select lanes from setting)
  then
    raise exception 'the archive of partition % is not whole', v_new.from_position
      using errcode = 'integrity_constraint_violation';
  end if;

  insert into archive (from_position, to_position, format_version, url, events, hot_bytes, first_recorded_at,
                       last_recorded_at)
  values (v_new.from_position, v_new.to_position, v_new.format_version, v_new.url, v_new.events,
          pg_total_relation_size(format('es.event_from_%s', v_new.from_position)::regclass),
          v_new.first_recorded_at, v_new.last_recorded_at);
  insert into archive_lane (from_position, lane, hash_before, end_hash, first_seal, last_seal)
  select v_new.from_position, n.lane, decode(n.hash_before, 'hex'), decode(n.end_hash, 'hex'), n.first_seal,
         n.last_seal
  from jsonb_to_recordset(p_archive -> 'lanes')
    as n(lane smallint, hash_before text, end_hash text, first_seal bigint, last_seal bigint);
  for v_lane in select * from archive_lane where from_position = v_new.from_position loop
    if v_lane.end_hash is distinct from (select hash from event
                                         where lane = v_lane.lane and position = v_new.to_position - 1)
      or v_lane.hash_before is distinct from hash_before_v1(v_lane.lane, v_new.from_position)
    then
      raise exception 'the archive of partition % does not fit the chain of lane %', v_new.from_position, v_lane.lane
        using errcode = 'integrity_constraint_violation';
    end if;
  end loop;

  insert into archive_object (from_position, content, name, bytes, sha256, footer_from, footer_sha256)
  select v_new.from_position, n.content, n.name, n.bytes, decode(n.sha256, 'hex'), n.footer_from,
         decode(n.footer_sha256, 'hex')
  from jsonb_to_recordset(p_archive -> 'objects')
    as n(content text, name text, bytes bigint, sha256 text, footer_from bigint, footer_sha256 text);
  insert into archive_part (from_position, content, number, byte_from, bytes, sha256, lane, first_position,
                            last_position, first_stream_id, last_stream_id)
  select v_new.from_position, n.content, n.number, n.byte_from, n.bytes, decode(n.sha256, 'hex'), n.lane,
         n.first_position, n.last_position, n.first_stream_id, n.last_stream_id
  from jsonb_to_recordset(p_archive -> 'parts')
    as n(content text, number integer, byte_from bigint, bytes bigint, sha256 text, lane smallint,
         first_position bigint, last_position bigint, first_stream_id uuid, last_stream_id uuid);
  return true;
end $$;
