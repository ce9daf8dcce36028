-- Partitions of the ledger that stand in object storage. A row is written once its objects were read back and
-- verified; from `detached_at` on readers find these events there only. A deleted archive keeps its row.
create table es.archive (
  from_position bigint primary key,
  to_position bigint not null check (to_position > from_position),
  format_version smallint not null,
  url text not null,
  events bigint not null check (events > 0),
  hot_bytes bigint not null,
  first_recorded_at timestamptz not null,
  last_recorded_at timestamptz not null,
  verified_at timestamptz not null default clock_timestamp(),
  detached_at timestamptz,
  dropped_at timestamptz,
  hold_until timestamptz,
  deleted_at timestamptz,
  erased_at timestamptz,
  check (dropped_at is null or detached_at is not null),
  check (deleted_at is null or dropped_at is not null),
  check (erased_at is null or deleted_at is not null)
);

-- What the chain and the log seals say of each lane of an archived partition.
create table es.archive_lane (
  from_position bigint not null references es.archive,
  lane smallint not null check (lane >= 0),
  hash_before bytea not null check (octet_length(hash_before) = 32),
  end_hash bytea not null check (octet_length(end_hash) = 32),
  first_seal bigint,
  last_seal bigint,
  primary key (from_position, lane)
);

-- The two objects of an archived partition: its events, and where each stream's events stand among them.
create table es.archive_object (
  from_position bigint not null references es.archive,
  content text not null check (content in ('events', 'streams')),
  name text not null,
  bytes bigint not null,
  sha256 bytea not null check (octet_length(sha256) = 32),
  footer_from bigint not null check (footer_from between 0 and bytes),
  footer_sha256 bytea not null check (octet_length(footer_sha256) = 32),
  primary key (from_position, content)
);

-- The row groups of an object: what a reader fetches at once, and the digest that it must have. Events by lane
-- and position, streams by id. The parts of a deleted archive are gone.
create table es.archive_part (
  from_position bigint not null,
  content text not null,
  number integer not null check (number >= 0),
  byte_from bigint not null,
  bytes bigint not null,
  sha256 bytea not null check (octet_length(sha256) = 32),
  lane smallint,
  first_position bigint,
  last_position bigint,
  first_stream_id uuid,
  last_stream_id uuid,
  primary key (from_position, content, number),
  foreign key (from_position, content) references es.archive_object,
  check (content = 'streams' or num_nonnulls(lane, first_position, last_position) = 3),
  check (content = 'events' or num_nonnulls(first_stream_id, last_stream_id) = 2)
);
