-- The digest of one event; the chain is sha256(previous hash || leaf). Same bytes as eventstore/chain.py:
-- fixed-width fields first, then each variable one behind its length, names instead of interned numbers.
create function es.leaf_v1(
  p_position bigint, p_lane smallint, p_recorded_at timestamptz, p_event_id uuid, p_stream_id uuid,
  p_version integer, p_schema_version smallint, p_tenant uuid, p_correlation_id uuid, p_causation_id uuid,
  p_category text, p_event_type text, p_trace_parent text, p_actor text, p_payload bytea
) returns bytea
language sql stable as $$
  select sha256(
    '\x01'::bytea || int8send(p_position) || int2send(p_lane) || timestamptz_send(p_recorded_at)
    || uuid_send(p_event_id) || uuid_send(p_stream_id) || int4send(p_version) || int2send(p_schema_version)
    || uuid_send(p_tenant)
    || case when p_correlation_id is null then '\x00'::bytea else '\x01'::bytea || uuid_send(p_correlation_id) end
    || case when p_causation_id is null then '\x00'::bytea else '\x01'::bytea || uuid_send(p_causation_id) end
    || int4send(octet_length(convert_to(p_category, 'UTF8'))) || convert_to(p_category, 'UTF8')
    || int4send(octet_length(convert_to(p_event_type, 'UTF8'))) || convert_to(p_event_type, 'UTF8')
    || int4send(octet_length(convert_to(p_trace_parent, 'UTF8'))) || convert_to(p_trace_parent, 'UTF8')
    || int4send(octet_length(convert_to(p_actor, 'UTF8'))) || convert_to(p_actor, 'UTF8')
    || int4send(octet_length(p_payload)) || p_payload
  )
$$;
