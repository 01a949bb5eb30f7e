-- A balance moves by entries and by nothing else, whoever writes: entries that are inserted take their accounts with them. So no
-- fault of a worker can move money without an entry, or write an entry that moves none.
create function ledger.post_entries() returns trigger
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
    -- element first, so that the greatest is the last entry's, with the balance that it says.
    with change as materialized (
        select account_id, currency, sum(amount)::bigint as amount, (max(array[id, balance_after]))[2] as balance
        from written group by account_id, currency
    ), moved as (
        update ledger.accounts a set posted = a.posted + c.amount
        from change c where a.id = c.account_id and a.currency = c.currency
        returning a.kind = 'settlement' or a.posted is not distinct from c.balance as agrees
    )
    select (select count(*) from change) = (select count(*) from moved where agrees) into agree;
    if not agree then
        raise exception 'entries do not agree with the accounts that they stand on'
            using errcode = 'check_violation', constraint = 'entries_agree_with_account';
    end if;
    return null;
end $$;
drop trigger check_entries on ledger.entries;
drop function ledger.check_entries();
create trigger post_entries after insert on ledger.entries
    referencing new table as written for each statement execute function ledger.post_entries();

create function ledger.refuse_balance() returns trigger language plpgsql as $$
begin
    raise exception 'a balance is moved by entries alone' using errcode = 'restrict_violation';
end $$;
create trigger balance_follows_entries before update of posted on ledger.accounts
    for each statement when (pg_trigger_depth() = 0) execute function ledger.refuse_balance();
create trigger balance_starts_at_zero before insert on ledger.accounts
    for each row when (new.posted <> 0) execute function ledger.refuse_balance();

-- What is left to the worker: opening accounts, and locking them, for which PostgreSQL asks that some column may be updated.
revoke insert, update, delete on ledger.accounts from ledger_worker;
grant insert (id, kind, owner_id, currency), update (held) on ledger.accounts to ledger_worker;
