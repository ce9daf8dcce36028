-- Who was erased: for ever, so the list is short, and holds nothing of the person.
create table intake.erased_customer (
  customer_id uuid primary key,
  erased_at timestamptz not null
);
