-- An account's entries are in the order of their time, also when the database's clock goes back: by a step, or because another
-- instance took over. So an account knows when its last entry was posted; one that was there before learns it with its next.
alter table ledger.accounts add column last_posted_at timestamptz not null default '-infinity';

create or replace function ledger.post_entries() returns trigger
-- Who writes entries may write no balance himself.
language plpgsql security definer set search_path = '' as $$
declare
    broken record;
    agree boolean;
begin
    select transaction_id, currency into broken
    from written group by transaction_id, currency having sum(amount) <> 0 limit 1;
    if found then
        raise exception 'entries of transaction % do not sum to zero in %', broken.transaction_id, broken.currency
            using errcode = 'check_violation', constraint = 'entries_sum_to_zero';
    end if;

    -- Nothing is joined but by index: this is planned once, maybe while there are few accounts. An array compares by its first
    -- element first, so that the greatest is the last entry's, with the balance that it says. On a settlement account, whose
    -- balance nobody reads at a time, batches meet without a lock, and in any order.
    with change as materialized (
        select account_id, currency, sum(amount)::bigint as amount, (max(array[id, balance_after]))[2] as balance,
            min(posted_at) as first_at, max(posted_at) as last_at
        from written group by account_id, currency
    ), moved as (
        update ledger.accounts a set posted = a.posted + c.amount, last_posted_at = greatest(a.last_posted_at, c.last_at)
        from change c
        where a.id = c.account_id and a.currency = c.currency and (a.kind = 'settlement' or a.last_posted_at < c.first_at)
        returning a.kind = 'settlement' or a.posted is not distinct from c.balance as agrees
    )
    select (select count(*) from change) = (select count(*) from moved where agrees) into agree;
    if not agree then
        raise exception 'entries do not agree with the accounts that they stand on'
            using errcode = 'check_violation', constraint = 'entries_agree_with_account';
    end if;
    return null;
end $$;
