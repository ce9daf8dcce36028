-- One row: which log this is, named once. Seals of another log cannot be passed off as this one's.
create table es.log_identity (
  only_row boolean primary key default true check (only_row),
  log_id uuid not null default gen_random_uuid()
);

insert into es.log_identity default values;
