-- Webhooks: readers of the journal, each with a cursor of its own. A worker sends for an endpoint while it has the lease.
create schema webhooks;

create table webhooks.endpoints (
    id              uuid primary key,
    url             text not null check (length(url) between 1 and 2048),
    types           text[] not null default '{}',
    user_ids        uuid[],
    status          text not null default 'enabled' check (status in ('enabled', 'disabled')),
    disabled_reason text,
    sent_sequence   bigint not null default 0 check (sent_sequence >= 0),
    attempts        integer not null default 0 check (attempts >= 0),
    due_at          timestamptz not null default clock_timestamp(),
    failing_since   timestamptz,
    leased_by       uuid,
    leased_until    timestamptz,
    created_at      timestamptz not null default clock_timestamp(),
    constraint endpoints_disabled_reason check ((status = 'disabled') = (disabled_reason is not null)),
    constraint endpoints_lease check ((leased_by is null) = (leased_until is null))
) with (fillfactor = 50);
create index endpoints_due on webhooks.endpoints (due_at) where status = 'enabled';

-- While a secret is rotated, both sign: the old one until it expires.
create table webhooks.secrets (
    id          uuid primary key,
    endpoint_id uuid not null references webhooks.endpoints on delete cascade,
    secret      bytea not null check (length(secret) between 24 and 64),
    created_at  timestamptz not null default clock_timestamp(),
    expires_at  timestamptz
);
create unique index secrets_current on webhooks.secrets (endpoint_id) where expires_at is null;
create index secrets_of_endpoint on webhooks.secrets (endpoint_id);

create table webhooks.deliveries (
    id          bigint generated always as identity primary key,
    endpoint_id uuid not null references webhooks.endpoints on delete cascade,
    sequence    bigint,
    event_id    text not null,
    attempt     integer not null check (attempt > 0),
    sent_at     timestamptz not null,
    took        interval not null,
    status_code integer,
    failure     text
);
create index deliveries_of_endpoint on webhooks.deliveries (endpoint_id, id);
create index deliveries_by_age on webhooks.deliveries (sent_at);

grant usage on schema webhooks to ledger_api, ledger_worker;
grant select, insert, update, delete on webhooks.endpoints, webhooks.secrets to ledger_api;
grant select on webhooks.deliveries to ledger_api;
grant select, update (status, disabled_reason, sent_sequence, attempts, due_at, failing_since, leased_by, leased_until) on webhooks.endpoints to ledger_worker;
grant select on webhooks.secrets to ledger_worker;
grant select, insert, delete on webhooks.deliveries to ledger_worker;
