-- Gives this connection an empty table to copy events into; import_v1 takes them from there. The table is
-- temporary: nobody else sees it, it is gone with its connection, and copying into it locks nobody out.
-- It is made and owned here, because import_v1 must not run what a caller has put in its place.
create function es.open_import_v1() returns void
language plpgsql security definer
set search_path = es, pg_temp as $$
begin
  create temporary table if not exists import_row (
    number integer not null,            -- of the event within the chunk, from 1
    request integer not null,           -- of the append that it belongs to, ascending
    ordinal smallint not null,          -- of the event within the append, from 1
    count smallint not null,            -- of events in the append
    expected integer not null,
    stream_id uuid not null,
    tenant uuid not null,
    category smallint not null,
    event_id uuid not null,
    event_type smallint not null,
    schema_version smallint not null,
    correlation_id uuid,
    causation_id uuid,
    trace_parent text not null,
    actor text not null,
    payload bytea not null
  );
  grant insert on pg_temp.import_row to es_append;
end $$;
