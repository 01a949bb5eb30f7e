-- Compares ledger.entries with a copy that has monthly partitions, for scripts/growth.sh: what statements, lookups of a transaction
-- and appended entries cost. Each statement runs five times; the median is printed.
create table growth.parted (like ledger.entries including all) partition by range (posted_at);
do $$
begin
    for month in 0..35 loop
        execute format('create table growth.parted_%s partition of growth.parted for values from (%L) to (%L)',
            month, date '2024-01-01' + month * interval '1 month', date '2024-01-01' + (month + 1) * interval '1 month');
    end loop;
end $$;
insert into growth.parted overriding system value select * from ledger.entries;
create table growth.whole (like ledger.entries including all);
insert into growth.whole overriding system value select * from ledger.entries;
vacuum analyze growth.parted;
vacuum analyze growth.whole;

create function growth.median_ms(statement text) returns numeric language plpgsql as $$
declare
    times double precision[] := '{}';
    started timestamptz;
begin
    for run in 1..7 loop
        started := clock_timestamp();
        execute statement;
        times := times || extract(epoch from clock_timestamp() - started) * 1000;
    end loop;
    return round((select percentile_cont(0.5) within group (order by t) from unnest(times[3:]) t)::numeric, 2);
end $$;

select format('  %-52s whole %10s ms   monthly %10s ms', m.label,
    growth.median_ms(replace(m.statement, '$table', 'growth.whole')), growth.median_ms(replace(m.statement, '$table', 'growth.parted')))
from (values
    ('newest 50 entries of the merchant', 'select * from $table where account_id = (select id from growth.accounts where n = 0) order by posted_at desc, id desc limit 50'),
    ('newest 50 entries of another account', 'select * from $table where account_id = (select id from growth.accounts where n = 77) order by posted_at desc, id desc limit 50'),
    ('balance of an account in the middle of history', 'select balance_after from $table where account_id = (select id from growth.accounts where n = 77) and posted_at <= growth.time_of((select last_i / 2 from growth.state)) order by posted_at desc, id desc limit 1'),
    ('entries of 100 transactions by account and time', 'select count(e.*) from growth.accounts a cross join lateral (select * from $table e where e.account_id = a.id and e.posted_at = growth.time_of((select last_i / 2 from growth.state) + a.n) offset 0) e where a.n < 100'),
    ('sum of all entries by currency', 'select currency, sum(amount) from $table group by currency'),
    ('append 2,000 entries of 1,000 accounts', 'insert into $table (account_id, posted_at, transaction_id, currency, amount, balance_after) select a.id, clock_timestamp(), gen_random_uuid(), ''USD'', 1, 1 from growth.accounts a, generate_series(1, 2) where a.n between 1000 and 1999')
) m(label, statement);
