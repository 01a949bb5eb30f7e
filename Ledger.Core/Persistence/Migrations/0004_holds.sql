-- Money that is set aside on an account. hold_changes is what happened, append-only; holds and the accounts' held amounts follow it.
create table ledger.holds (
    id           uuid primary key,
    account_id   uuid not null references ledger.accounts,
    principal_id uuid not null,
    owner_id     uuid,
    currency     text not null,
    amount       bigint not null default 0,
    captured     bigint not null default 0,
    remaining    bigint not null default 0,
    status       text not null default 'active' check (status in ('active', 'captured', 'voided', 'expired')),
    reference    text,
    metadata     json,
    created_at   timestamptz not null,
    expires_at   timestamptz not null check (expires_at > created_at),
    constraint holds_amounts check (captured >= 0 and remaining >= 0 and captured + remaining <= amount),
    constraint holds_ended_hold_nothing check (status = 'active' or remaining = 0)
) with (fillfactor = 80);
create index holds_of_account on ledger.holds (account_id, id);
create index holds_by_expiry on ledger.holds (expires_at) where status = 'active';

-- transaction_id: the decided command that made the change. amount: what it adds to what remains of the hold.
create table ledger.hold_changes (
    id             bigint generated always as identity primary key,
    hold_id        uuid not null,
    transaction_id uuid not null,
    change         text not null check (change in ('created', 'increased', 'captured', 'released', 'voided', 'expired')),
    amount         bigint not null,
    changed_at     timestamptz not null,
    constraint hold_changes_direction check (case when change in ('created', 'increased') then amount > 0 else amount < 0 end)
);
create index hold_changes_of_hold on ledger.hold_changes (hold_id, id);
create index hold_changes_of_transaction on ledger.hold_changes (transaction_id);

create trigger append_only before update or delete or truncate on ledger.hold_changes
    for each statement execute function identity.refuse_change();
create trigger append_only before delete or truncate on ledger.holds
    for each statement execute function identity.refuse_change();

-- The twin of ledger.post_entries: a held amount moves by hold changes and by nothing else, and only on holds that are active.
create function ledger.post_hold_changes() returns trigger language plpgsql security definer set search_path = '' as $$
declare
    agree boolean;
begin
    with change as materialized (
        select hold_id, sum(amount)::bigint as amount, coalesce(sum(amount) filter (where amount > 0), 0)::bigint as added,
            coalesce(-sum(amount) filter (where change = 'captured'), 0)::bigint as captured,
            (array_agg(change order by id desc))[1] as last
        from written group by hold_id
    ), changed as (
        update ledger.holds h set amount = h.amount + c.added, captured = h.captured + c.captured, remaining = h.remaining + c.amount,
            status = case when h.remaining + c.amount > 0 then 'active' when c.last in ('voided', 'expired') then c.last else 'captured' end
        from change c where h.id = c.hold_id and h.status = 'active'
        returning h.account_id, c.amount
    ), moved as (
        update ledger.accounts a set held = a.held + s.amount
        from (select account_id, sum(amount)::bigint as amount from changed group by account_id) s
        where a.id = s.account_id and s.amount <> 0
        returning a.id
    )
    select (select count(*) from change) = (select count(*) from changed) and (select count(*) from moved) >= 0 into agree;
    if not agree then
        raise exception 'a hold that is not active does not change' using errcode = 'check_violation', constraint = 'hold_changes_of_active_hold';
    end if;
    return null;
end $$;
create trigger post_hold_changes after insert on ledger.hold_changes
    referencing new table as written for each statement execute function ledger.post_hold_changes();
revoke execute on function ledger.post_hold_changes() from public;

create function ledger.refuse_hold() returns trigger language plpgsql set search_path = '' as $$
begin
    raise exception 'a hold is changed by hold changes alone' using errcode = 'restrict_violation';
end $$;
create trigger hold_follows_changes before update on ledger.holds
    for each statement when (pg_trigger_depth() = 0) execute function ledger.refuse_hold();
create trigger hold_starts_at_zero before insert on ledger.holds
    for each row when (new.amount <> 0 or new.captured <> 0 or new.remaining <> 0 or new.status <> 'active') execute function ledger.refuse_hold();
-- The account's currency, and an owner who is the account's.
create function ledger.check_hold() returns trigger language plpgsql security definer set search_path = '' as $$
begin
    if not exists (
        select from ledger.accounts a
        where a.id = new.account_id and a.shard is null and a.currency = new.currency and a.owner_id is not distinct from new.owner_id) then
        raise exception 'hold % does not agree with the account that it is on', new.id using errcode = 'check_violation', constraint = 'holds_agree_with_account';
    end if;
    return new;
end $$;
create trigger check_hold before insert on ledger.holds for each row execute function ledger.check_hold();
revoke execute on function ledger.check_hold() from public;

-- Taken behind the accounts' locks.
create function ledger.lock_holds(ids uuid[]) returns setof ledger.holds
language plpgsql security definer set search_path = '' as $$
begin
    return query select * from ledger.holds h where h.id = any (ids) order by h.id for no key update;
end $$;
revoke execute on function ledger.lock_holds(uuid[]) from public;

grant select on ledger.holds, ledger.hold_changes to ledger_api, ledger_worker;
grant insert (id, account_id, principal_id, owner_id, currency, reference, metadata, created_at, expires_at) on ledger.holds to ledger_worker;
grant insert (hold_id, transaction_id, change, amount, changed_at) on ledger.hold_changes to ledger_worker;
grant execute on function ledger.lock_holds(uuid[]) to ledger_worker;

alter table ledger.holds enable row level security;
alter table ledger.hold_changes enable row level security;
create policy of_user on ledger.holds for select to ledger_api
    using (owner_id = (select ledger.reads_for()) or principal_id = (select ledger.caller()) or (select ledger.reads_everything()));
create policy of_caller on ledger.hold_changes for select to ledger_api
    using (exists (select from ledger.holds h where h.id = hold_id) or (select ledger.reads_everything()));
create policy every_row on ledger.holds to ledger_worker using (true) with check (true);
create policy every_row on ledger.hold_changes to ledger_worker using (true) with check (true);
