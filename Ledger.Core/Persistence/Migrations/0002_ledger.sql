-- The ledger itself. Amounts are minor units (cents, yen, fils) everywhere in here.
create schema ledger;

create table ledger.currencies (
    code     text primary key check (code ~ '^[A-Z][A-Z0-9]{2,11}$'),
    name     text not null,
    exponent smallint not null check (exponent between 0 and 12),
    enabled  boolean not null
);

-- A row is updated by every batch that touches the account: the low fill factor leaves room for the new version on the
-- same page, and no index holds what changes, so an update stays within the page.
create table ledger.accounts (
    id             uuid primary key,
    kind           text not null check (kind in ('user', 'settlement')),
    owner_id       uuid references identity.users,
    currency       text not null references ledger.currencies,
    shard          smallint,
    posted         bigint not null default 0,
    held           bigint not null default 0,
    allow_negative boolean not null default false,
    status         text not null default 'open' check (status in ('open', 'frozen')),
    opened_at      timestamptz not null default clock_timestamp(),
    constraint accounts_never_below_zero check (allow_negative or posted - held >= 0),
    constraint accounts_held_not_negative check (held >= 0),
    constraint accounts_kind_shape check (
        (kind = 'user' and owner_id is not null and shard is null and not allow_negative) or
        (kind = 'settlement' and owner_id is null and shard is not null and allow_negative))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
create unique index accounts_of_owner on ledger.accounts (owner_id, currency) where kind = 'user';
create unique index accounts_of_settlement on ledger.accounts (currency, shard) where kind = 'settlement';

-- Decided commands, rejected ones too: the stored outcome of a command is its row here. Never changed afterwards.
-- metadata is json, not jsonb: what a client sent comes back in the order in which it was sent.
create table ledger.transactions (
    id              uuid primary key,
    kind            text not null check (kind in ('deposit', 'withdrawal', 'transfer')),
    status          text not null check (status in ('posted', 'rejected')),
    owner_id        uuid not null,
    counterparty_id uuid,
    currency        text not null,
    amount          bigint not null check (amount > 0),
    reference       text,
    metadata        json,
    created_at      timestamptz not null,
    decided_at      timestamptz not null,
    rejection       text,
    available       bigint,
    constraint transactions_rejection check ((status = 'rejected') = (rejection is not null))
);
create index transactions_of_owner on ledger.transactions (owner_id, id);
create index transactions_of_counterparty on ledger.transactions (counterparty_id, id) where counterparty_id is not null;

-- The primary key is the statement: an account's entries in the order in which they were posted. posted_at comes from
-- the database's clock after the account is locked, so per account it never runs backwards. It is also the transaction's
-- decided_at: account and time find the entries of a transaction, which therefore need no index of their own.
create table ledger.entries (
    account_id     uuid not null,
    posted_at      timestamptz not null,
    id             bigint generated always as identity,
    transaction_id uuid not null,
    currency       text not null,
    amount         bigint not null check (amount <> 0),
    balance_after  bigint,
    primary key (account_id, posted_at, id)
);

-- Who used which key for which command. The outcome is the transaction of that id, or the pending command.
create table ledger.idempotency_keys (
    owner_id       uuid not null,
    key            text not null check (length(key) between 1 and 255),
    request_hash   bytea not null,
    transaction_id uuid not null,
    primary key (owner_id, key)
);

-- Commands whose answer was 202: accepted, not decided. The worker removes a row in the commit that decides it; the
-- relay publishes what the queue never saw.
create table ledger.pending_commands (
    id           uuid primary key,
    owner_id     uuid not null,
    command      json not null,
    recorded_at  timestamptz not null default clock_timestamp(),
    relayed_at   timestamptz,
    failure      text
);
create index pending_commands_of_owner on ledger.pending_commands (owner_id, id);

-- Money that came from or went outside the ledger stands on settlement accounts. Every deposit would meet every other on
-- one row, so each currency has several, and its settlement balance is their sum. Their ids are random, not v7: nothing
-- orders by them.
create function ledger.open_settlement_accounts() returns trigger language plpgsql as $$
begin
    insert into ledger.accounts (id, kind, currency, shard, allow_negative)
    select gen_random_uuid(), 'settlement', c.code, s, true
    from opened c cross join generate_series(0, 15) s;
    return null;
end $$;
create trigger open_settlement_accounts after insert on ledger.currencies
    referencing new table as opened for each statement execute function ledger.open_settlement_accounts();

-- What holds for entries, checked once per written batch: legs of a transaction sum to zero per currency, every entry
-- stands on an account of its currency, and the last entry of a user account says what that account's row says. The
-- accounts are updated before the entries are written.
create function ledger.check_entries() returns trigger language plpgsql as $$
declare
    broken record;
begin
    select transaction_id, currency into broken
    from written group by transaction_id, currency having sum(amount) <> 0 limit 1;
    if found then
        raise exception 'entries of transaction % do not sum to zero in %', broken.transaction_id, broken.currency
            using errcode = 'check_violation', constraint = 'entries_sum_to_zero';
    end if;

    select e.account_id, e.currency into broken
    from (select distinct on (account_id, currency) account_id, currency, balance_after from written order by account_id, currency, id desc) e
    left join ledger.accounts a on a.id = e.account_id
    where a.id is null or a.currency <> e.currency or (a.kind = 'user' and a.posted is distinct from e.balance_after)
    limit 1;
    if found then
        raise exception 'entries on account % in % do not agree with the account', broken.account_id, broken.currency
            using errcode = 'check_violation', constraint = 'entries_agree_with_account';
    end if;
    return null;
end $$;
create trigger check_entries after insert on ledger.entries
    referencing new table as written for each statement execute function ledger.check_entries();

-- History is not rewritten. Corrections are new transactions.
create function ledger.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '%.% is append-only', tg_table_schema, tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger append_only before update or delete or truncate on ledger.entries
    for each statement execute function ledger.refuse_change();
create trigger append_only before update or delete or truncate on ledger.transactions
    for each statement execute function ledger.refuse_change();
create trigger append_only before delete or truncate on ledger.accounts
    for each statement execute function ledger.refuse_change();

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
