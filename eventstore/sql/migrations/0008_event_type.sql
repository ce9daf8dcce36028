-- Event types that a reader may pass over when it does not know them.
set local role es_owner;
alter table es.event_type add column ignorable boolean not null default false;
alter table es.projection add column passed_over bigint not null default 0;
\ir ../functions/intern_v2.sql
revoke all on function es.intern_v2 from public;
grant execute on function es.intern_v2 to es_append;
reset role;
