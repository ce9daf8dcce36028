-- API keys of customers. Of the secret only the SHA-256 is here: a dump of this table opens nothing.
create table runtime.api_key (
  key_id text primary key check (key_id ~ '^[0-9A-Za-z]{8}$'),
  customer_id uuid not null,
  scopes text[] not null,
  secret_hash bytea not null check (octet_length(secret_hash) = 32),
  display_name text not null check (length(display_name) <= 100),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  revoked_at timestamptz,
  last_used_at timestamptz
);

create index api_key_by_customer on runtime.api_key (customer_id, created_at desc);
