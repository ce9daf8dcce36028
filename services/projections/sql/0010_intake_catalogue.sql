-- The catalogue as customers see it: one row per directory, the whole entry in its own bytes.
create table intake.directory (
  directory_id text primary key,
  version integer not null,
  authority integer not null,
  state smallint not null,
  entry bytea not null
);

create index directory_by_authority on intake.directory (authority desc, directory_id);
