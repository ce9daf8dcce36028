-- Event types by number.
create table es.event_type (
  id smallint primary key,
  name text not null unique check (length(name) between 1 and 100)
);
