-- Writes the rows of a read model that is built beside the live one, and can write nothing else: it appends
-- nothing, moves no checkpoint, and has no rights in any schema but the one being built.
do $$
begin
  create role es_rebuild nologin noinherit;
exception when duplicate_object or unique_violation then null;
end $$;
do $$
begin
  if not pg_has_role(current_user, 'es_rebuild', 'usage') then
    execute format('grant es_rebuild to %I', current_user);
  end if;
end $$;
