-- Politeness towards a directory, kept across all workers: how many attempts at once, how far apart.
create table runtime.directory_turn (
  directory_id text primary key,
  last_taken_at timestamptz
) with (fillfactor = 50);

create table runtime.directory_slot (
  directory_id text not null,
  submission_id uuid not null,
  holder text not null,
  expires_at timestamptz not null,
  primary key (directory_id, submission_id)
);

-- Takes a slot, or says in how many seconds to ask again and why ('slots', 'gap'). The row of the turn is
-- the lock: whoever asks for the same directory waits for the moment that this takes. Who has the slot
-- already has it still, so that a message delivered twice takes one.
create function runtime.take_directory_slot_v1(
  wanted_directory text, wanted_submission uuid, wanted_holder text,
  attempts_at_once_max integer, gap_seconds double precision, expires_in_seconds double precision
) returns table (taken boolean, retry_after_seconds double precision, reason text)
language plpgsql as $$
declare
  moment timestamptz;
  previous timestamptz;
  held integer;
  first_free timestamptz;
begin
  insert into runtime.directory_turn as turn (directory_id) values (wanted_directory) on conflict do nothing;
  select turn.last_taken_at into previous from runtime.directory_turn turn
    where turn.directory_id = wanted_directory for update;
  moment := clock_timestamp();
  delete from runtime.directory_slot slot
    where slot.directory_id = wanted_directory and slot.expires_at <= moment;

  update runtime.directory_slot slot
    set expires_at = greatest(slot.expires_at, moment + make_interval(secs => expires_in_seconds))
    where slot.directory_id = wanted_directory and slot.submission_id = wanted_submission;
  if found then
    return query select true, 0::double precision, '';
    return;
  end if;

  select count(*), min(slot.expires_at) into held, first_free
    from runtime.directory_slot slot where slot.directory_id = wanted_directory;
  if held >= attempts_at_once_max then
    return query select false, least(
      extract(epoch from first_free - moment), greatest(gap_seconds, 1.0))::double precision, 'slots';
    return;
  end if;
  if previous + make_interval(secs => gap_seconds) > moment then
    return query select false, extract(
      epoch from previous + make_interval(secs => gap_seconds) - moment)::double precision, 'gap';
    return;
  end if;

  insert into runtime.directory_slot (directory_id, submission_id, holder, expires_at)
    values (wanted_directory, wanted_submission, wanted_holder,
            moment + make_interval(secs => expires_in_seconds));
  update runtime.directory_turn turn set last_taken_at = moment where turn.directory_id = wanted_directory;
  return query select true, 0::double precision, '';
end $$;
