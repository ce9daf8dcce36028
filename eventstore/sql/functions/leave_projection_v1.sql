-- A process gives back what it still holds and is counted no more.
create function es.leave_projection_v1(p_name text, p_version integer, p_holder text) returns void
language sql security definer set search_path = pg_catalog, es, pg_temp as $$
  update es.projection set holder = null, expires_at = null
  where name = p_name and version = p_version and holder = p_holder;
  delete from es.projection_member where name = p_name and version = p_version and holder = p_holder;
$$;
