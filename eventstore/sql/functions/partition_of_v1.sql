-- The partition that a stream falls to: its last two bytes, which are random in every version of UUID that
-- anybody makes. The same as partition_of in partitions.py; `p_count` times n splits each partition into n.
create function es.partition_of_v1(p_stream_id uuid, p_count integer) returns integer
language sql immutable strict parallel safe as $$
  select (get_byte(uuid_send(p_stream_id), 14) * 256 + get_byte(uuid_send(p_stream_id), 15)) % p_count
$$;
