-- The lane of a tenant: the first eight bytes of the SHA-256 of its id, without the sign, modulo the lanes.
create function es.lane_of_v1(p_tenant uuid, p_lanes smallint) returns smallint
language sql immutable parallel safe as $$
  select (('x' || encode(substr(sha256(uuid_send(p_tenant)), 1, 8), 'hex'))::bit(64)::bigint
          & 9223372036854775807) % p_lanes
$$;
