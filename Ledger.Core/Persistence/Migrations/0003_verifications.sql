-- What the verifier found, run by run. Operators read it; every worker reports the last.
create table ledger.verifications (
    id           bigint generated always as identity primary key,
    at           timestamptz not null,
    took         interval not null,
    accounts     bigint not null,
    transactions bigint not null,
    entries      bigint not null,
    failures     bigint not null check (failures >= 0),
    report       json not null
);
create trigger append_only before update or delete or truncate on ledger.verifications
    for each statement execute function ledger.refuse_change();
