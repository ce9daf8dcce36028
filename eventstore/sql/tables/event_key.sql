-- Every event id ever appended, with what the first answer said: an append sent again is answered from here,
-- even when its partition was archived. `ordinal` of `count` tells the same append from a part of it.
create table es.event_key (
  event_id uuid primary key,
  stream_id uuid not null,
  position bigint not null,
  recorded_at timestamptz not null,
  version integer not null,
  lane smallint not null,
  ordinal smallint not null,
  count smallint not null
);
