-- Events that a projection could not apply: `failed` ones block their stream, `behind` ones wait for an earlier
-- one of theirs, `skipped` ones are a record and block nothing. Only the holder of the stream's partition adds
-- and removes rows; others write what they ask for into `asked`.
create table es.parked (
  name text not null,
  version integer not null,
  lane smallint not null,
  position bigint not null,
  stream_id uuid not null,
  event_id uuid not null,
  event_type text not null,
  state text not null check (state in ('failed', 'behind', 'skipped')),
  attempts integer not null default 0,
  error text not null default '',
  parked_at timestamptz not null default clock_timestamp(),
  asked text check (asked in ('replay', 'discard')),
  primary key (name, version, lane, position)
);

create index parked_by_stream on es.parked (name, version, stream_id);
create index parked_asked on es.parked (name, version) where asked is not null;
