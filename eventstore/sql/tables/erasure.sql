-- One certificate per erased tenant: a JSON document, signed with Ed25519. No personal data stands in it.
create table es.erasure (
  tenant uuid primary key,
  recorded_at timestamptz not null default clock_timestamp(),
  document bytea not null check (octet_length(document) > 0),
  public_key bytea not null check (octet_length(public_key) = 32),
  signature bytea not null check (octet_length(signature) = 64)
);
