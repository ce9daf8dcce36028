-- A process says that it is there, and is given its fair share of a projection's partitions; all that it holds
-- comes back, with the epoch to save under (one row without a partition when that is none). What it holds
-- beyond `fair_share` it should release at a good moment. The processes that came first take what does not
-- divide evenly, so that nothing moves without need.
-- A lease can be taken when it was released, has expired, or when the session that holds it is gone: the server
-- learns of a killed process at once, of a frozen one only by the clock. The caller's own leases of an earlier
-- connection are taken anew, too: what that one still has under way is fenced off. What is paused is taken by
-- another release than the one that paused it, which ends the pause; `p_release` is empty when nobody says.
create function es.hold_partitions_v1(
  p_name text, p_version integer, p_count integer, p_holder text, p_lease_seconds double precision, p_release text
) returns table (partition smallint, epoch bigint, positions jsonb, fair_share integer)
language plpgsql security definer set search_path = pg_catalog, es, pg_temp as $$
#variable_conflict use_column
declare
  v_now timestamptz := clock_timestamp();
  v_expires_at timestamptz := v_now + make_interval(secs => p_lease_seconds);
  v_renew_before timestamptz := v_now + make_interval(secs => p_lease_seconds * 2 / 3);
  v_living integer[] := array(select a.pid from pg_stat_activity a where a.pid is not null);
  v_share integer;
  v_held integer;
begin
  if (select count(*) from es.projection p where p.name = p_name and p.version = p_version) <> p_count then
    perform es.split_projection_v1(p_name, p_version, p_count);
  end if;

  insert into es.projection_member as m (name, version, holder, expires_at, session_pid)
  values (p_name, p_version, p_holder, v_expires_at, pg_backend_pid())
  on conflict (name, version, holder) do update set expires_at = v_expires_at, session_pid = pg_backend_pid()
  where m.expires_at < v_renew_before or m.session_pid <> pg_backend_pid();

  with dead as materialized (
    select d.holder from es.projection_member d
    where d.name = p_name and d.version = p_version and d.holder <> p_holder
      and (d.expires_at <= v_now or d.session_pid <> all (v_living))
    for update skip locked
  )
  delete from es.projection_member m using dead
  where m.name = p_name and m.version = p_version and m.holder = dead.holder;

  select p_count / count(*)
       + (count(*) filter (where (m.joined_at, m.holder) < (mine.joined_at, mine.holder)) < p_count % count(*))::int
  into v_share
  from es.projection_member m, es.projection_member mine
  where m.name = p_name and m.version = p_version
    and mine.name = p_name and mine.version = p_version and mine.holder = p_holder;

  update es.projection p set expires_at = v_expires_at
  where p.name = p_name and p.version = p_version and p.holder = p_holder
    and p.session_epoch = p.epoch and p.session_pid = pg_backend_pid() and p.expires_at < v_renew_before;

  select count(*) into v_held from es.projection p
  where p.name = p_name and p.version = p_version and p.holder = p_holder
    and p.session_epoch = p.epoch and p.session_pid = pg_backend_pid();

  with free as materialized (
    select f.partition from es.projection f
    where f.name = p_name and f.version = p_version 
      and (f.paused_at is null or (p_release <> '' and f.paused_release is distinct from p_release))
      and (f.holder is null or f.expires_at <= v_now
        or (f.session_epoch = f.epoch
            and (f.session_pid <> all (v_living) or (f.holder = p_holder and f.session_pid <> pg_backend_pid()))))
    order by f.partition limit greatest(v_share - v_held, 0)
    for update skip locked
  )
  update es.projection p
  set holder = p_holder, epoch = p.epoch + 1, expires_at = v_expires_at,
      session_pid = pg_backend_pid(), session_epoch = p.epoch + 1,
      paused_at = null, paused_release = null, failed_lane = null, failed_position = null, attempts = null, error = null
  from free
  where p.name = p_name and p.version = p_version and p.partition = free.partition;

  return query
  select p.partition, p.epoch, p.positions, v_share from es.projection p
  where p.name = p_name and p.version = p_version and p.holder = p_holder
    and p.session_epoch = p.epoch and p.session_pid = pg_backend_pid()
  order by p.partition;
  if not found then
    return query select null::smallint, null::bigint, null::jsonb, v_share;
  end if;
end $$;
