-- One role per service, and one for reading as a tenant. Nobody but the store's own functions can
-- change history; a service owns its read models and sees no other's.
do $$
declare
  name text;
begin
  foreach name in array array['bolt_intake', 'bolt_scheduler', 'bolt_submitter', 'bolt_monitor', 'bolt_tenant']
  loop
    if not exists (select from pg_roles where rolname = name) then
      begin
        execute format('create role %I nologin nobypassrls', name);
      exception when duplicate_object or unique_violation then
        null; -- another database of this cluster was migrated at the same moment
      end;
    end if;
    execute format('grant %I to current_user', name);
  end loop;
end $$;

grant es_append, es_read_all, es_project to bolt_intake, bolt_scheduler, bolt_submitter, bolt_monitor;
grant es_read_tenant to bolt_tenant;
grant bolt_tenant to bolt_intake;
grant vault_keeper to bolt_intake, bolt_submitter;

create schema if not exists intake;
create schema if not exists scheduler;
create schema if not exists submitter;
create schema if not exists monitor;
create schema if not exists runtime;
grant usage on schema intake to bolt_intake, bolt_tenant;
grant usage on schema scheduler to bolt_scheduler;
grant usage on schema submitter to bolt_submitter;
grant usage on schema monitor to bolt_monitor;
grant usage on schema runtime to bolt_intake, bolt_scheduler, bolt_submitter, bolt_monitor;
alter default privileges in schema intake grant select, insert, update, delete, truncate on tables to bolt_intake;
alter default privileges in schema scheduler grant select, insert, update, delete, truncate on tables to bolt_scheduler;
alter default privileges in schema submitter grant select, insert, update, delete, truncate on tables to bolt_submitter;
alter default privileges in schema monitor grant select, insert, update, delete, truncate on tables to bolt_monitor;
alter default privileges in schema runtime
  grant select, insert, update, delete on tables to bolt_intake, bolt_scheduler, bolt_submitter, bolt_monitor;
