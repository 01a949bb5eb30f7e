-- Who may do what: sessions that can be revoked, API keys, the audit trail; and, in the database itself, what the API and
-- the worker may touch, and whose rows the API may see.

-- A session is what one login began: a family of refresh tokens, each good for one use. Access tokens carry its id.
create table identity.sessions (
    id         uuid primary key,
    user_id    uuid not null references identity.users,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    revoked_at timestamptz
);
create index sessions_of_user on identity.sessions (user_id) where revoked_at is null;
create index sessions_by_expiry on identity.sessions (expires_at);
-- What every API process reads each second.
create index sessions_revoked on identity.sessions (revoked_at) where revoked_at is not null;

-- SHA-256 of random tokens. Spent ones stay as long as their session: one that comes back was stolen, or its owner's was.
create table identity.refresh_tokens (
    hash       bytea primary key,
    session_id uuid not null references identity.sessions on delete cascade,
    spent_at   timestamptz
);
create index refresh_tokens_of_session on identity.refresh_tokens (session_id);

-- Failed logins by the SHA-256 of the address that was given, registered or not: being locked tells nothing of who is.
create table identity.login_failures (
    address      bytea primary key,
    failures     integer not null,
    last_at      timestamptz not null,
    locked_until timestamptz
);
create index login_failures_by_age on identity.login_failures (last_at);

create table identity.api_keys (
    id           uuid primary key,
    name         text not null check (length(name) between 1 and 100),
    role         text not null check (role in ('operator', 'auditor')),
    hash         bytea not null unique,
    created_at   timestamptz not null default clock_timestamp(),
    expires_at   timestamptz not null,
    revoked_at   timestamptz,
    last_used_at timestamptz
);

alter table identity.users add column frozen_at timestamptz;

-- Every administrative act and every sign-in. There is no way to change or remove a row.
create table identity.audit (
    id         bigint generated always as identity primary key,
    at         timestamptz not null default clock_timestamp(),
    actor_kind text not null check (actor_kind in ('user', 'api_key', 'command_line', 'nobody')),
    actor_id   uuid,
    action     text not null,
    subject    text,
    address    text,
    details    json
);
create index audit_of_subject on identity.audit (subject, id) where subject is not null;
create index audit_of_actor on identity.audit (actor_id, id) where actor_id is not null;
create trigger append_only before update or delete or truncate on identity.audit
    for each statement execute function ledger.refuse_change();

-- On whose authority a command came, where that is not its owner: the operator or API key that deposits for a user.
alter table ledger.transactions add column caller_id uuid;

-- Freezes or unfreezes a user with all accounts. The lock on the user's row makes it wait for batches that are opening an
-- account of the user, and them for it: an account that is opened later is opened frozen.
create function identity.set_frozen(id uuid, frozen boolean) returns boolean
language plpgsql security definer set search_path = '' as $$
begin
    perform from identity.users u where u.id = set_frozen.id for update;
    if not found then
        return false;
    end if;
    update identity.users u set frozen_at = case when frozen then coalesce(u.frozen_at, clock_timestamp()) end where u.id = set_frozen.id;
    update ledger.accounts a set status = case when frozen then 'frozen' else 'open' end
    where a.owner_id = set_frozen.id and a.kind = 'user' and (a.status = 'frozen') <> frozen;
    return true;
end $$;

-- Settlement accounts are opened for a currency that an operator adds, by whoever may add one.
alter function ledger.open_settlement_accounts() security definer set search_path = '';

-- Roles are the cluster's, not the database's: another ledger beside this one may have made them, or whoever made the
-- database, where its owner may make none. Nobody logs in as them unless an operator gives them a password; the processes
-- step down to them from whatever they log in as.
do $$
declare
    name text;
    -- PostgreSQL 16 tells being a member from being allowed to step down.
    to_step_down constant text := case when current_setting('server_version_num')::int >= 160000 then 'set' else 'member' end;
begin
    foreach name in array array['ledger_api', 'ledger_worker'] loop
        if not exists (select from pg_catalog.pg_roles r where r.rolname = name) then
            begin
                execute format('create role %I nologin', name);
            exception when duplicate_object or unique_violation then
                null;
            end;
        end if;
        -- Who migrates may be who runs the processes.
        if not pg_has_role(current_user, name, to_step_down) then
            execute format('grant %I to current_user', name);
        end if;
    end loop;
end $$;

grant usage on schema identity, ledger to ledger_api, ledger_worker;

-- The API: identity, and of the ledger what its caller owns. It cannot write money, nor give anybody a role.
grant select on identity.users, identity.roles, identity.user_roles, identity.role_claims, identity.user_claims to ledger_api;
grant insert on identity.users to ledger_api;
grant update (password_hash, security_stamp, concurrency_stamp) on identity.users to ledger_api;
grant select, insert, update on identity.data_protection_keys to ledger_api;
grant select, insert, update, delete on identity.sessions, identity.refresh_tokens, identity.login_failures to ledger_api;
grant select, update (last_used_at) on identity.api_keys to ledger_api;
grant select, insert on identity.audit to ledger_api;
revoke execute on function identity.set_frozen(uuid, boolean) from public;
grant execute on function identity.set_frozen(uuid, boolean) to ledger_api;
grant select, insert, update (name, enabled) on ledger.currencies to ledger_api;
grant select on ledger.accounts, ledger.transactions, ledger.entries, ledger.verifications to ledger_api;
grant select, insert on ledger.pending_commands, ledger.idempotency_keys to ledger_api;

-- The worker: the ledger, and of users whether they are there. To lock a user's row takes the right to change a column.
grant select (id, frozen_at), update (frozen_at) on identity.users to ledger_worker;
grant select, insert, update, delete on all tables in schema ledger to ledger_worker;
alter default privileges in schema ledger grant select, insert, update, delete on tables to ledger_worker;

-- Whom the API's transaction reads for. Nobody, if it did not say.
create function ledger.caller() returns uuid language sql stable parallel safe
    return nullif(current_setting('ledger.caller', true), '')::uuid;

-- Row-level security, for the API. "(select …)" is evaluated once per statement, not once per row; the caller's accounts
-- are few, and an array of them is searched in entries by index.
alter table ledger.accounts enable row level security;
alter table ledger.entries enable row level security;
alter table ledger.transactions enable row level security;
alter table ledger.pending_commands enable row level security;
alter table ledger.idempotency_keys enable row level security;

create policy of_caller on ledger.accounts for select to ledger_api
    using (owner_id = (select ledger.caller()));
create policy of_caller on ledger.entries for select to ledger_api
    using (account_id = any (array(select a.id from ledger.accounts a where a.owner_id = (select ledger.caller()) and a.kind = 'user')));
create policy of_caller on ledger.transactions for select to ledger_api
    using (owner_id = (select ledger.caller()) or (counterparty_id = (select ledger.caller()) and status = 'posted'));
create policy of_caller on ledger.pending_commands to ledger_api
    using (owner_id = (select ledger.caller())) with check (owner_id = (select ledger.caller()));
create policy of_caller on ledger.idempotency_keys to ledger_api
    using (owner_id = (select ledger.caller())) with check (owner_id = (select ledger.caller()));

-- The worker judges everybody's commands.
create policy every_row on ledger.accounts to ledger_worker using (true) with check (true);
create policy every_row on ledger.entries to ledger_worker using (true) with check (true);
create policy every_row on ledger.transactions to ledger_worker using (true) with check (true);
create policy every_row on ledger.pending_commands to ledger_worker using (true) with check (true);
create policy every_row on ledger.idempotency_keys to ledger_worker using (true) with check (true);
