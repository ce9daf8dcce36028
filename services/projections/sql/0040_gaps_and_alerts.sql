-- Open gaps, by the rules of services/domain/gap_rules.py; the judge asks which are due, by the database's clock.
create table monitor.gap (
  rule text not null,
  subject text not null,
  tenant uuid not null,
  claim_version integer not null,
  alert_id uuid not null,
  opened_at timestamptz not null,
  due_at timestamptz not null,
  primary key (rule, subject)
);
create index gap_by_due on monitor.gap (due_at);

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
  failed_channels text[] not null default '{}'
);
create index alert_open on monitor.alert (position) where state <> 'resolved';
create index alert_by_position on monitor.alert (position);
