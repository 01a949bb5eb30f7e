-- The ledger itself. Amounts are minor units (cents, yen, fils) everywhere in here.
create schema ledger;

create table ledger.currencies (
    code     text primary key check (code ~ '^[A-Z][A-Z0-9]{2,11}$'),
    name     text not null,
    exponent smallint not null check (exponent between 0 and 12),
    enabled  boolean not null
);

-- Every batch that touches an account updates its row: the low fill factor leaves room for the new version on the same page, and no
-- index holds a column that changes, so an update stays within the page. Settlement and exchange accounts stand on 16 shards per
-- currency: their balance is the sum, so that no two deposits wait for each other.
create table ledger.accounts (
    id             uuid primary key,
    kind           text not null check (kind in ('user', 'house', 'settlement', 'exchange')),
    owner_id       uuid references identity.users,
    name           text check (length(name) between 1 and 100),
    currency       text not null references ledger.currencies,
    shard          smallint check (shard between 0 and 15),
    posted         bigint not null default 0,
    held           bigint not null default 0,
    credit_limit   bigint not null default 0,
    status         text not null default 'open' check (status in ('open', 'frozen', 'closed')),
    metadata       json,
    last_posted_at timestamptz not null default '-infinity',
    opened_at      timestamptz not null default clock_timestamp(),
    constraint accounts_within_limit check (kind in ('settlement', 'exchange') or posted - held >= -credit_limit),
    constraint accounts_held_not_negative check (held >= 0),
    constraint accounts_credit_limit check (credit_limit between 0 and 999999999999999999),
    constraint accounts_closed_is_empty check (status <> 'closed' or (posted = 0 and held = 0)),
    constraint accounts_kind_shape check (case kind
        when 'user' then owner_id is not null and name is not null and shard is null
        when 'house' then owner_id is null and name is not null and shard is null
        else owner_id is null and name is null and shard is not null and credit_limit = 0 end)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
create unique index accounts_of_owner on ledger.accounts (owner_id, currency, name) where kind = 'user';
create unique index accounts_of_house on ledger.accounts (name, currency) where kind = 'house';
create unique index accounts_of_settlement on ledger.accounts (currency, shard) where kind = 'settlement';
create unique index accounts_of_exchange on ledger.accounts (currency, shard) where kind = 'exchange';

-- Decided commands, rejected and failed ones too: the stored outcome of a command is its row here. Never changed afterwards.
-- account_ids: the accounts of the entries, which are found by them. xact orders the journal (0005). digest: SHA-256 over the
-- canonical form in docs/journal.md. details: further facts of a kind, such as an exchange's other amount. json, not jsonb: what a
-- client sent comes back as it was sent.
create table ledger.transactions (
    id              uuid primary key,
    kind            text not null,
    status          text not null check (status in ('posted', 'rejected', 'failed')),
    principal_id    uuid not null,
    owner_id        uuid,
    recipient_id    uuid,
    account_ids     uuid[] not null,
    currency        text,
    amount          bigint,
    reference       text,
    metadata        json,
    details         json,
    reverses        uuid,
    hold_id         uuid,
    created_at      timestamptz not null,
    decided_at      timestamptz not null,
    effective_at    timestamptz,
    rejection       text,
    rejection_index smallint,
    available       bigint,
    failure         text,
    digest          bytea not null,
    xact            xid8 not null default pg_current_xact_id(),
    -- What a command can do. A command of another kind cannot be decided; it can wait among the pending commands.
    constraint transactions_kind check (kind in ('deposit', 'withdrawal', 'transfer', 'journal', 'exchange', 'capture', 'reversal',
        'hold', 'hold_increase', 'hold_void', 'hold_expiry')),
    constraint transactions_amount check ((currency is null) = (amount is null) and (amount > 0 or status = 'failed')),
    constraint transactions_rejection check ((status = 'rejected') = (rejection is not null)),
    constraint transactions_failure check ((status = 'failed') = (failure is not null)),
    constraint transactions_accounts check (status = 'posted' or account_ids = '{}'),
    constraint transactions_effective_before check (effective_at < decided_at),
    constraint transactions_digest check (length(digest) = 32)
);
-- A posted transaction is found by its entries; the others need an index of their own.
create index transactions_not_posted on ledger.transactions (owner_id, decided_at, id) where status <> 'posted';
create unique index transactions_reversed_once on ledger.transactions (reverses) where reverses is not null and status = 'posted';
create index transactions_failed on ledger.transactions (decided_at) where status = 'failed';
create index transactions_of_hold on ledger.transactions (hold_id) where hold_id is not null;
-- The sealer looks for what is new by it: always its last page.
create index transactions_by_xact on ledger.transactions (xact);
-- Searches: only a transaction with a reference or metadata is in these. The owner is among the terms of metadata, so that a search for one
-- user reads no other user's. json::text and text::jsonb are immutable; jsonb_build_object is not.
create index transactions_by_reference on ledger.transactions (reference, decided_at, id) where reference is not null;
create function ledger.search_terms(metadata json, owner_id uuid) returns jsonb language sql immutable parallel safe
    return ('{"metadata":' || metadata::text || ',"owner":"' || coalesce(owner_id::text, '') || '"}')::jsonb;
create index transactions_by_metadata on ledger.transactions using gin (ledger.search_terms(metadata, owner_id) jsonb_path_ops) where metadata is not null;

-- The primary key is the statement: an account's entries in the order in which they were posted. posted_at is the transaction's
-- decided_at: account and time find the entries of a transaction. effective_at only where it differs.
create table ledger.entries (
    account_id     uuid not null,
    posted_at      timestamptz not null,
    id             bigint generated always as identity,
    transaction_id uuid not null,
    currency       text not null,
    amount         bigint not null check (amount <> 0),
    balance_after  bigint,
    effective_at   timestamptz,
    constraint entries_effective_before check (effective_at < posted_at),
    primary key (account_id, posted_at, id)
);
-- Plans are for accounts with many entries: with the average of all accounts, the newest page of a large account would be got by sorting
-- all of its entries.
alter table ledger.entries alter column account_id set (n_distinct = 100);
create index entries_by_effect on ledger.entries (account_id, effective_at, posted_at, id) where effective_at is not null;

-- Which command a caller used a key for. request_hash: a version byte, then the hash of what the request means in that version.
create table ledger.idempotency_keys (
    principal_id   uuid not null,
    key            text not null check (length(key) between 1 and 255),
    request_hash   bytea not null check (length(request_hash) > 1),
    transaction_id uuid not null,
    primary key (principal_id, key)
);

-- Commands whose answer was 202: accepted, not decided. The worker removes a row in the commit that decides it; the relay publishes
-- what the queue has not, when it is due. A failed one waits for an operator until ends_at, and ends as failed then. The columns are the
-- command's own fields: a recorded command cannot say another thing in them. reply_to: the reply queue of the API process that still
-- waits for a command which a worker left to the relay.
create table ledger.pending_commands (
    id           uuid primary key,
    principal_id uuid not null,
    owner_id     uuid,
    version      smallint not null check (version > 0),
    kind         text not null,
    currency     text,
    created_at   timestamptz not null,
    command      json not null,
    recorded_at  timestamptz not null default clock_timestamp(),
    due_at       timestamptz not null default clock_timestamp(),
    relays       integer not null default 0 check (relays >= 0),
    reply_to     text,
    failure      text,
    failed_at    timestamptz,
    ends_at      timestamptz,
    constraint pending_commands_failure check (num_nonnulls(failure, failed_at, ends_at) in (0, 3)),
    constraint pending_commands_says_what_it_is check (
        (command ->> 'id')::uuid is not distinct from id
        and (command ->> 'principalId')::uuid is not distinct from principal_id
        and (command ->> 'ownerId')::uuid is not distinct from owner_id
        and (command ->> 'kind') is not distinct from kind)
);
create index pending_commands_of_owner on ledger.pending_commands (owner_id, id);
create index pending_commands_due on ledger.pending_commands (due_at) where failure is null;
create index pending_commands_failed on ledger.pending_commands (ends_at) where failure is not null;

-- Commands that are tried alone, because one of the messages that keep coming back may have brought its worker down, with how often
-- that was begun. Written before a try and removed after it: what stays is what no try has survived.
create table ledger.attempts (
    command_id uuid primary key,
    begun      integer not null default 1 check (begun > 0),
    last_at    timestamptz not null default clock_timestamp()
);

-- What the verifier found, run by run. Operators read it; every worker reports the last. money_failures: the books are wrong.
-- liveness_failures: commands wait for too long.
create table ledger.verifications (
    id                bigint generated always as identity primary key,
    at                timestamptz not null,
    took              interval not null,
    accounts          bigint not null,
    transactions      bigint not null,
    entries           bigint not null,
    sequence          bigint not null default 0,
    money_failures    bigint not null check (money_failures >= 0),
    liveness_failures bigint not null check (liveness_failures >= 0),
    report            json not null
);

create trigger append_only before update or delete or truncate on ledger.entries
    for each statement execute function identity.refuse_change();
create trigger append_only before update or delete or truncate on ledger.transactions
    for each statement execute function identity.refuse_change();
create trigger append_only before delete or truncate on ledger.accounts
    for each statement execute function identity.refuse_change();
create trigger append_only before update or delete or truncate on ledger.verifications
    for each statement execute function identity.refuse_change();

-- The ids of shards are random, not v7: nothing orders by them. An operator's role adds currencies, and may open no account itself.
create function ledger.open_shards() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    insert into ledger.accounts (id, kind, currency, shard)
    select gen_random_uuid(), k.kind, c.code, s
    from opened c cross join (values ('settlement'), ('exchange')) k(kind) cross join generate_series(0, 15) s;
    return null;
end $$;
create trigger open_shards after insert on ledger.currencies
    referencing new table as opened for each statement execute function ledger.open_shards();

-- A balance moves by entries and by nothing else: entries that are inserted take their accounts with them. So no fault of a worker
-- can move money without an entry, write an entry that moves none, or touch an account that is not open.
create function ledger.post_entries() returns trigger language plpgsql security definer set search_path = '' as $$
declare
    broken record;
    agree boolean;
begin
    -- "offset 0" keeps this a look-up by the primary key, one for each transaction and currency. As a join, planned while the table is
    -- empty, it would read the whole table for each.
    select w.transaction_id, w.currency, w.amount into broken
    from (
        select transaction_id, currency, posted_at, effective_at, sum(amount) as amount, array_agg(account_id) as account_ids
        from written group by transaction_id, currency, posted_at, effective_at) w
    where w.amount <> 0 or not exists (
        select from ledger.transactions t
        where t.id = w.transaction_id and t.status = 'posted' and t.decided_at = w.posted_at
            and t.effective_at is not distinct from w.effective_at and t.account_ids @> w.account_ids
        offset 0)
    limit 1;
    if broken.amount <> 0 then
        raise exception 'entries of transaction % do not sum to zero in %', broken.transaction_id, broken.currency
            using errcode = 'check_violation', constraint = 'entries_sum_to_zero';
    elsif found then
        raise exception 'transaction % does not have the accounts and times of its entries in %', broken.transaction_id, broken.currency
            using errcode = 'check_violation', constraint = 'entries_of_transaction';
    end if;

    -- Nothing is joined but by index: this is planned once, maybe while there are few accounts. An array compares by its first
    -- element first, so that the greatest is the last entry's, with the balance that it says. On shards, which batches reach without
    -- a lock and in any order, entries say no balance.
    with change as materialized (
        select account_id, currency, sum(amount)::bigint as amount, (max(array[id, balance_after]))[2] as balance,
            min(posted_at) as first_at, max(posted_at) as last_at
        from written group by account_id, currency
    ), moved as (
        update ledger.accounts a set posted = a.posted + c.amount, last_posted_at = greatest(a.last_posted_at, c.last_at)
        from change c
        where a.id = c.account_id and a.currency = c.currency and a.status = 'open'
            and (a.shard is not null or a.last_posted_at < c.first_at)
        returning a.shard is not null or a.posted is not distinct from c.balance as agrees
    )
    select (select count(*) from change) = (select count(*) from moved where agrees) into agree;
    if not agree then
        raise exception 'entries do not agree with the accounts that they stand on'
            using errcode = 'check_violation', constraint = 'entries_agree_with_account';
    end if;
    return null;
end $$;
create trigger post_entries after insert on ledger.entries
    referencing new table as written for each statement execute function ledger.post_entries();

create function ledger.refuse_balance() returns trigger language plpgsql set search_path = '' as $$
begin
    raise exception 'a balance is moved by entries alone, and a held amount by hold changes' using errcode = 'restrict_violation';
end $$;
create trigger balance_follows_entries before update of posted, held, last_posted_at on ledger.accounts
    for each statement when (pg_trigger_depth() = 0) execute function ledger.refuse_balance();
create trigger balance_starts_at_zero before insert on ledger.accounts
    for each row when (new.posted <> 0 or new.held <> 0) execute function ledger.refuse_balance();

-- A closed account stays closed.
create function ledger.refuse_reopening() returns trigger language plpgsql set search_path = '' as $$
begin
    raise exception 'account % is closed', old.id using errcode = 'restrict_violation';
end $$;
create trigger closed_for_good before update of status on ledger.accounts
    for each row when (old.status = 'closed' and new.status <> 'closed') execute function ledger.refuse_reopening();

-- The time until which the books are closed: no entry takes effect before it. It only moves forward.
create table ledger.closing (
    one          boolean primary key default true check (one),
    closed_until timestamptz not null default '-infinity'
);
insert into ledger.closing default values;
create function ledger.refuse_reopened_period() returns trigger language plpgsql set search_path = '' as $$
begin
    raise exception 'the books are closed until %', old.closed_until using errcode = 'check_violation', constraint = 'closing_moves_forward';
end $$;
create trigger moves_forward before update on ledger.closing
    for each row when (new.closed_until < old.closed_until) execute function ledger.refuse_reopened_period();
create trigger append_only before delete or truncate on ledger.closing
    for each statement execute function identity.refuse_change();

-- Returns the time until which the books are closed, and keeps it there until the transaction ends. Only commands with a time of effect
-- take this lock.
create function ledger.lock_closing() returns timestamptz language sql security definer set search_path = '' as $$
    select c.closed_until from ledger.closing c for share
$$;
create function ledger.check_period() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if new.effective_at < ledger.lock_closing() then
        raise exception 'transaction % takes effect at %, when the books are closed', new.id, new.effective_at
            using errcode = 'check_violation', constraint = 'transactions_in_open_period';
    end if;
    return new;
end $$;
create trigger check_period before insert on ledger.transactions
    for each row when (new.effective_at is not null and new.status = 'posted') execute function ledger.check_period();
revoke execute on function ledger.lock_closing(), ledger.check_period() from public;

-- Locks the named accounts that exist until the transaction ends, in the order of owner, currency and name, so that no two batches wait
-- for each other crosswise; a subquery that locks is planned as it stands, so the order of the rows is the order of the locks. Main
-- accounts alone, the usual case, are found and locked by one look-up each. The transaction's id is taken first: the journal's
-- horizon relies on times that are read after it.
create function ledger.lock_accounts(owners uuid[], currencies text[], others uuid[])
returns table (id uuid, owner_id uuid, currency text, posted bigint, held bigint, credit_limit bigint, status text, last_posted_at timestamptz,
    is_main boolean)
language plpgsql security definer set search_path = '' as $$
begin
    perform pg_catalog.pg_current_xact_id();
    if others = '{}' then
        return query
            select a.id, a.owner_id, a.currency, a.posted, a.held, a.credit_limit, a.status, a.last_posted_at, true
            from (select w.owner_id, w.currency from unnest(owners, currencies) w(owner_id, currency) order by w.owner_id, w.currency collate "C") w
            cross join lateral (
                select * from ledger.accounts x
                where x.owner_id = w.owner_id and x.currency = w.currency and x.name = 'main' and x.kind = 'user' for no key update) a;
        return;
    end if;
    return query
        select a.id, a.owner_id, a.currency, a.posted, a.held, a.credit_limit, a.status, a.last_posted_at,
            a.kind = 'user' and a.name = 'main'
        from (
            select f.id from (
                select m.* from unnest(owners, currencies) w(owner_id, currency) cross join lateral (
                    select x.id, x.owner_id, x.currency, x.name from ledger.accounts x
                    where x.owner_id = w.owner_id and x.currency = w.currency and x.name = 'main' and x.kind = 'user' offset 0) m
                union
                select x.id, x.owner_id, x.currency, x.name from ledger.accounts x where x.id = any (others)) f
            order by f.owner_id, f.currency collate "C", f.name collate "C", f.id) w
        cross join lateral (
            select * from ledger.accounts x where x.id = w.id and x.shard is null for no key update) a;
end $$;
-- The same for shards, which a batch takes last: no batch waits for another one's accounts while it holds these.
create function ledger.lock_shards(ids uuid[]) returns void language plpgsql security definer set search_path = '' as $$
begin
    perform from ledger.accounts a where a.id = any (ids) and a.shard is not null order by a.id for no key update;
end $$;
revoke execute on function ledger.lock_accounts(uuid[], text[], uuid[]), ledger.lock_shards(uuid[]) from public;

-- A trigger's function could be put on a table of the caller's own, and fed with anything. Triggers that are there fire without
-- the right to execute.
revoke execute on function ledger.post_entries(), ledger.open_shards() from public;

-- ISO 4217, list one, with its minor units. Enabled: what a new installation needs; an operator enables the rest.
insert into ledger.currencies (code, name, exponent, enabled) values
    ('USD', 'US Dollar', 2, true),
    ('EUR', 'Euro', 2, true),
    ('GBP', 'Pound Sterling', 2, true),
    ('JPY', 'Yen', 0, true),
    ('RUB', 'Russian Ruble', 2, true),
    ('AED', 'UAE Dirham', 2, false),
    ('ARS', 'Argentine Peso', 2, false),
    ('AUD', 'Australian Dollar', 2, false),
    ('BHD', 'Bahraini Dinar', 3, false),
    ('BRL', 'Brazilian Real', 2, false),
    ('CAD', 'Canadian Dollar', 2, false),
    ('CHF', 'Swiss Franc', 2, false),
    ('CLF', 'Unidad de Fomento', 4, false),
    ('CLP', 'Chilean Peso', 0, false),
    ('CNY', 'Yuan Renminbi', 2, false),
    ('COP', 'Colombian Peso', 2, false),
    ('CZK', 'Czech Koruna', 2, false),
    ('DKK', 'Danish Krone', 2, false),
    ('EGP', 'Egyptian Pound', 2, false),
    ('GEL', 'Lari', 2, false),
    ('HKD', 'Hong Kong Dollar', 2, false),
    ('HUF', 'Forint', 2, false),
    ('IDR', 'Rupiah', 2, false),
    ('ILS', 'New Israeli Sheqel', 2, false),
    ('INR', 'Indian Rupee', 2, false),
    ('ISK', 'Iceland Krona', 0, false),
    ('JOD', 'Jordanian Dinar', 3, false),
    ('KRW', 'Won', 0, false),
    ('KWD', 'Kuwaiti Dinar', 3, false),
    ('KZT', 'Tenge', 2, false),
    ('MXN', 'Mexican Peso', 2, false),
    ('MYR', 'Malaysian Ringgit', 2, false),
    ('NGN', 'Naira', 2, false),
    ('NOK', 'Norwegian Krone', 2, false),
    ('NZD', 'New Zealand Dollar', 2, false),
    ('OMR', 'Rial Omani', 3, false),
    ('PHP', 'Philippine Peso', 2, false),
    ('PLN', 'Zloty', 2, false),
    ('RON', 'Romanian Leu', 2, false),
    ('RSD', 'Serbian Dinar', 2, false),
    ('SAR', 'Saudi Riyal', 2, false),
    ('SEK', 'Swedish Krona', 2, false),
    ('SGD', 'Singapore Dollar', 2, false),
    ('THB', 'Baht', 2, false),
    ('TND', 'Tunisian Dinar', 3, false),
    ('TRY', 'Turkish Lira', 2, false),
    ('TWD', 'New Taiwan Dollar', 2, false),
    ('UAH', 'Hryvnia', 2, false),
    ('UYW', 'Unidad Previsional', 4, false),
    ('VND', 'Dong', 0, false),
    ('XAF', 'CFA Franc BEAC', 0, false),
    ('XOF', 'CFA Franc BCEAO', 0, false),
    ('ZAR', 'Rand', 2, false);
