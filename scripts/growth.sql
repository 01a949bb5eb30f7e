-- Generates history for scripts/growth.sh: transfers between many accounts, one in ten to the merchant, one each 6 seconds from
-- 2024 on. It writes past the triggers, for speed, and keeps what they hold: balances, digests and sums are right.
create schema growth;
create table growth.state (last_i bigint not null);
insert into growth.state values (0);

create function growth.time_of(i bigint) returns timestamptz language sql immutable
    return timestamptz '2024-01-01 00:00:00Z' + i * interval '6 seconds';
create function growth.id_of(i bigint) returns uuid language sql immutable
    return (lpad(to_hex((extract(epoch from growth.time_of(i)) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(i % 4096), 3, '0')
        || '8' || lpad(to_hex(i), 15, '0'))::uuid;
-- A field of the canonical form in docs/journal.md, of ASCII text.
create function growth.f(value text) returns text language sql immutable
    return coalesce(length(value) || ':' || value, '-') || ',';
create function growth.micros(at timestamptz) returns text language sql immutable
    return (extract(epoch from at) * 1000000)::bigint::text;

insert into identity.users (id) select gen_random_uuid() from generate_series(1, :accounts);
create table growth.accounts (n bigint primary key, id uuid not null unique, owner_id uuid not null, posted bigint not null default 0);
insert into growth.accounts (n, id, owner_id)
select row_number() over (order by email nulls last, id) - 1, gen_random_uuid(), id from identity.users where email = 'merchant@example.com' or email is null;
insert into ledger.accounts (id, kind, owner_id, name, currency) select id, 'user', owner_id, 'main', 'USD' from growth.accounts;

-- Transactions first_i + 1 to first_i + count: the first one of each account is a deposit, all others are transfers.
create procedure growth.generate(count bigint) language plpgsql as $$
declare
    first_i bigint := (select last_i from growth.state);
    owners bigint := (select count(*) from growth.accounts);
    shard uuid := (select id from ledger.accounts where kind = 'settlement' and currency = 'USD' and shard = 0);
begin
    set local session_replication_role = replica;
    set local synchronous_commit = off;
    create temporary table made on commit drop as
    select i, growth.id_of(i) as id, growth.time_of(i) as at, i <= owners as is_deposit, 1 + i % 1000 + case when i <= owners then 100000000000 else 0 end as amount,
        case when i <= owners then shard else a.id end as from_id, case when i <= owners then null else a.owner_id end as from_owner,
        b.id as to_id, b.owner_id as to_owner
    from generate_series(first_i + 1, first_i + count) i
    join growth.accounts a on a.n = (i * 7919) % owners
    join growth.accounts b on b.n = case
        when i <= owners then i - 1
        when i % 10 = 0 and (i * 7919) % owners <> 0 then 0
        else ((i * 7919) % owners + 1 + i % (owners - 1)) % owners end;
    create temporary table sides on commit drop as
    select s.i, s.side, s.account_id, s.amount,
        case when s.account_id <> shard then a.posted + sum(s.amount) over (partition by s.account_id order by s.i, s.side) end::bigint as balance
    from (
        select i, 0 as side, from_id as account_id, -amount as amount from made
        union all select i, 1, to_id, amount from made) s
    left join growth.accounts a on a.id = s.account_id;

    insert into ledger.transactions (id, kind, status, principal_id, owner_id, recipient_id, account_ids, currency, amount, created_at, decided_at, digest)
    select m.id, k.kind, 'posted', o.owner, o.owner, o.recipient, array[m.from_id, m.to_id], 'USD', m.amount, m.at - interval '5 milliseconds', m.at,
        sha256(convert_to(
            growth.f('ledger transaction 1') || growth.f(m.id::text) || growth.f(k.kind) || growth.f('posted') || growth.f(o.owner::text)
            || growth.f(o.owner::text) || growth.f(o.recipient::text) || growth.f('USD') || growth.f(m.amount::text) || '-,-,-,'
            || growth.f(growth.micros(m.at - interval '5 milliseconds')) || growth.f(growth.micros(m.at)) || '-,-,-,-,-,-,-,' || growth.f('2')
            || growth.f(m.from_id::text) || growth.f('USD') || growth.f((-m.amount)::text) || growth.f(d.balance::text)
            || growth.f(m.to_id::text) || growth.f('USD') || growth.f(m.amount::text) || growth.f(c.balance::text), 'UTF8'))
    from made m
    cross join lateral (values (case when m.is_deposit then 'deposit' else 'transfer' end)) k(kind)
    cross join lateral (values (case when m.is_deposit then m.to_owner else m.from_owner end, case when not m.is_deposit then m.to_owner end)) o(owner, recipient)
    join sides d on d.i = m.i and d.side = 0
    join sides c on c.i = m.i and c.side = 1
    order by m.i;
    insert into ledger.entries (account_id, posted_at, transaction_id, currency, amount, balance_after)
    select s.account_id, growth.time_of(s.i), growth.id_of(s.i), 'USD', s.amount, s.balance from sides s order by s.i, s.side;

    update growth.accounts a set posted = a.posted + s.amount
    from (select account_id, sum(amount)::bigint as amount from sides group by account_id) s where a.id = s.account_id;
    update ledger.accounts a set posted = a.posted + s.amount, last_posted_at = greatest(a.last_posted_at, s.at)
    from (select account_id, sum(amount)::bigint as amount, growth.time_of(max(i)) as at from sides group by account_id) s where a.id = s.account_id;
    update growth.state set last_i = first_i + count;
end $$;
