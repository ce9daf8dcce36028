-- Give a projection so many partitions, all of them at the checkpoints of those that they are made from.
-- It has them already: nothing. More, by a multiple: each is split. Anything else only when all stand at the
-- same checkpoint. Never while one is held or paused: `object_in_use`.
create function es.split_projection_v1(p_name text, p_version integer, p_count integer) returns void
language plpgsql security definer set search_path = pg_catalog, es, pg_temp as $$
declare
  v_count integer;
  v_checkpoints integer;
  v_busy boolean;
begin
  perform pg_advisory_xact_lock(hashtextextended(format('es.projection %s %s', p_name, p_version), 0));
  select count(*), count(distinct positions),
         coalesce(bool_or(paused_at is not null or (holder is not null and expires_at > clock_timestamp())), false)
  into v_count, v_checkpoints, v_busy
  from es.projection where name = p_name and version = p_version;
  if v_count = p_count then
    return;
  end if;
  if v_busy or (v_checkpoints > 1 and p_count % nullif(v_count, 0) <> 0) then
    raise exception 'projection % version % has % partitions, not %, and cannot be given others now',
      p_name, p_version, v_count, p_count using errcode = 'object_in_use';
  end if;
  insert into es.projection (name, version, partition, positions)
  select p_name, p_version, number, coalesce(old.positions, '{}')
  from generate_series(0, p_count - 1) as number
  left join es.projection old
    on old.name = p_name and old.version = p_version
   and old.partition = case when v_checkpoints > 1 then number % greatest(v_count, 1) else 0 end
  on conflict do nothing;
  delete from es.projection where name = p_name and version = p_version and partition >= p_count;
end $$;
