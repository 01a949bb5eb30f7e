-- Commands that are tried alone, because one of the messages that keep coming back may have brought its worker down, with how
-- often that was begun. Written before a try, and removed after it: what stays is what no try has survived.
create table ledger.attempts (
    command_id uuid primary key,
    begun      integer not null default 1 check (begun > 0),
    last_at    timestamptz not null default clock_timestamp()
);
