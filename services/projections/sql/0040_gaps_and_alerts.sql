-- Open gaps, by the rules of services/domain/gap_rules.py; the judge asks which are due, by the database's clock.
-- `heard_at` is the event or sign of life that was the last; `alert_id` follows from it, so that every silence
-- has an alert of its own.
create table monitor.gap (
  rule text not null,
  subject text not null,
  tenant uuid not null,
  claim_version integer not null,
  alert_id uuid not null,
  opened_at timestamptz not null,
  heard_at timestamptz not null,
  due_at timestamptz not null,
  trace_parent text not null,
  primary key (rule, subject)
);
create index gap_by_due on monitor.gap (rule, due_at);
create index gap_by_alert on monitor.gap (alert_id);

-- When a submission was last sent out: silence of one of them is no news while others go.
create table monitor.latest (
  event_type text primary key,
  recorded_at timestamptz not null
);

-- Alerts as their streams tell them.
create table monitor.alert (
  alert_id uuid primary key,
  position bigint not null,
  rule text not null,
  subject text not null,
  severity smallint not null,
  summary text not null,
  state text not null check (state in ('raised', 'acknowledged', 'resolved')),
  raised_at timestamptz not null,
  resolved_at timestamptz,
  notified_channels text[] not null default '{}',
  failed_channels text[] not null default '{}',
  trace_parent text not null
);
create index alert_open on monitor.alert (position) where state <> 'resolved';
create index alert_by_position on monitor.alert (position);

-- Who is telling a channel about an alert, or when that is tried again. No read model: what came of it is an
-- event, and when this table is lost, open alerts that nobody was told of are told.
create table monitor.delivery (
  alert_id uuid not null,
  channel text not null,
  tries integer not null,
  next_at timestamptz not null,
  primary key (alert_id, channel)
);

-- The monitor sees to it that the log never runs out of partitions.
grant execute on function es.create_partitions_ahead_v1(text, bigint) to bolt_monitor;
