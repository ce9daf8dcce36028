-- The hash of a log seal, which the next one carries: over the signed bytes and their signature.
create function es.log_seal_hash_v1(p_seal es.log_seal) returns bytea
language sql immutable
set search_path = pg_catalog as $$
  select sha256(
    convert_to('eventstore log seal v1', 'UTF8') || '\x00'::bytea
    || uuid_send(p_seal.log_id) || int2send(p_seal.lane) || int8send(p_seal.number)
    || int8send(p_seal.from_position) || int8send(p_seal.to_position) || timestamptz_send(p_seal.sealed_at)
    || p_seal.root || p_seal.end_hash || p_seal.previous_hash || p_seal.public_key || p_seal.signature
  )
$$;
