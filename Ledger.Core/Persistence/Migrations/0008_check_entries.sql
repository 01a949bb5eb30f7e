-- The same check of a batch's entries, without sorting them: an account's last entry is looked for only where an entry does not
-- say what the account's row says, as all but the last of several do.
create or replace function ledger.check_entries() returns trigger language plpgsql as $$
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
    from written e left join ledger.accounts a on a.id = e.account_id
    where a.id is null or a.currency <> e.currency
        or (a.kind = 'user' and a.posted is distinct from e.balance_after
            and (e.account_id, e.id) in (select account_id, max(id) from written group by account_id))
    limit 1;
    if found then
        raise exception 'entries on account % in % do not agree with the account', broken.account_id, broken.currency
            using errcode = 'check_violation', constraint = 'entries_agree_with_account';
    end if;
    return null;
end $$;
