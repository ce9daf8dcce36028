-- The last sign of life of a subject under a rule, for the latest claim that gave any. It renews the gap of that
-- rule and subject when that is of the same claim and older; rows of monitor.gap say how the gap was opened.
create table monitor.sign_of_life (
  rule text not null,
  subject text not null,
  claim_version integer not null,
  alert_id uuid not null,
  heard_at timestamptz not null,
  due_at timestamptz not null,
  primary key (rule, subject)
) with (fillfactor = 50);
