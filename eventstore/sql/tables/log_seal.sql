-- Log seals: a signed statement over each range of a lane, chained to the statement before it. A range never
-- spans partitions or lanes, so whole seals cover a whole partition. `root` is the Merkle root (RFC 6962) over
-- the events' leaves, `end_hash` the chain's hash at `to_position`, `previous_hash` the hash of the seal before
-- (zeros for the first). eventstore/audit/log_seal.py says which bytes are signed.
create table es.log_seal (
  lane smallint not null check (lane >= 0),
  number bigint not null check (number >= 1),
  from_position bigint not null check (from_position >= 1),
  to_position bigint not null check (to_position >= from_position),
  log_id uuid not null,
  sealed_at timestamptz not null,
  root bytea not null check (octet_length(root) = 32),
  end_hash bytea not null check (octet_length(end_hash) = 32),
  previous_hash bytea not null check (octet_length(previous_hash) = 32),
  public_key bytea not null check (octet_length(public_key) = 32),
  signature bytea not null check (octet_length(signature) = 64),
  primary key (lane, number),
  unique (lane, to_position)
);
