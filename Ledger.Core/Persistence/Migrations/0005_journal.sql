-- The journal: every decided transaction in one order that never changes, in blocks that are chained by SHA-256 (docs/journal.md).
create table ledger.journal (
    sequence       bigint primary key check (sequence > 0),
    transaction_id uuid not null unique,
    owner_id       uuid
);
-- Without entries, a transaction is found in its owner's part of the journal by this; the others by the entries of its accounts.
create index journal_of_owner on ledger.journal (owner_id, sequence) where owner_id is not null;

-- horizon: blocks behind this one hold only transactions that were decided later than that. resume_at: transactions with a smaller
-- xact are all sealed.
create table ledger.blocks (
    number         bigint primary key check (number > 0),
    first_sequence bigint not null,
    last_sequence  bigint not null unique check (last_sequence >= first_sequence),
    sealed_at      timestamptz not null default clock_timestamp(),
    horizon        timestamptz not null,
    resume_at      xid8 not null,
    previous       bytea not null check (length(previous) = 32),
    hash           bytea not null unique check (length(hash) = 32)
);

-- A time, and a transaction id that was taken after it was read: every greater id is taken later, and its time read after that. Once every
-- id up to it has ended, all that was decided until that time is there to be seen, and the time is the horizon. The xmax of a snapshot would
-- not do: it is the id behind the last one that has ended, and ids above it may have been taken long ago.
create table ledger.horizon (
    one        boolean primary key default true check (one),
    horizon    timestamptz not null default '-infinity',
    noted_at   timestamptz not null default '-infinity',
    noted_xact xid8 not null default '0'
) with (fillfactor = 10);
insert into ledger.horizon default values;

-- The last block that the verifier has found sound.
create table ledger.verified (
    one    boolean primary key default true check (one),
    number bigint not null default 0
);
insert into ledger.verified default values;

create trigger append_only before update or delete or truncate on ledger.journal
    for each statement execute function identity.refuse_change();
create trigger append_only before update or delete or truncate on ledger.blocks
    for each statement execute function identity.refuse_change();

create function ledger.check_block() returns trigger language plpgsql security definer set search_path = '' as $$
declare
    last ledger.blocks;
begin
    select * into last from ledger.blocks order by number desc limit 1;
    if new.number <> coalesce(last.number, 0) + 1 or new.first_sequence <> coalesce(last.last_sequence, 0) + 1
        or new.previous <> coalesce(last.hash, decode(repeat('00', 32), 'hex')) or new.horizon < last.horizon then
        raise exception 'block % does not follow block %', new.number, coalesce(last.number, 0)
            using errcode = 'check_violation', constraint = 'blocks_are_chained';
    end if;
    if (select count(*) from ledger.journal j where j.sequence >= new.first_sequence) <> new.last_sequence - new.first_sequence + 1
        or (select max(j.sequence) from ledger.journal j) <> new.last_sequence then
        raise exception 'block % is not the part of the journal from % to %', new.number, new.first_sequence, new.last_sequence
            using errcode = 'check_violation', constraint = 'blocks_cover_the_journal';
    end if;
    return new;
end $$;
create trigger check_block before insert on ledger.blocks for each row execute function ledger.check_block();
revoke execute on function ledger.check_block() from public;

-- The hash of a block: SHA-256 over a header line by line, the hash of the block before, and the digests of its transactions in order.
create function ledger.block_hash(number bigint, first_sequence bigint, last_sequence bigint, previous bytea, digests bytea) returns bytea
language sql immutable
return sha256(convert_to(format(E'ledger block 1\n%s\n%s\n%s\n', number, first_sequence, last_sequence), 'UTF8') || previous || digests);

-- Seals what is final, as one block of at_most transactions; returns how many, the journal's last sequence, and how old the oldest
-- transaction is that is not sealed yet. One at a time, by the advisory lock: "seal" in ASCII.
--
-- Final is what was written before the snapshot's xmin: no transaction with a smaller id is under way. Of that, only what was decided
-- before everything that is visible and not below xmin: one that waited for another's lock may have the smaller id, but commits after
-- it, so that the other is visible whenever it is. Each account's order is therefore the journal's.
--
-- Ids that no transaction of this cluster has had yet come from a restored dump: they are looked for after a restart only, and final.
create function ledger.seal(at_most integer, after_restart boolean)
returns table (sealed integer, last_sequence bigint, waiting interval)
language plpgsql security definer set search_path = '' set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
declare
    last ledger.blocks;
    horizon ledger.horizon;
    clock timestamptz;
    snapshot pg_catalog.pg_snapshot;
    found_some record;
    new_horizon timestamptz;
begin
    if not pg_catalog.pg_try_advisory_xact_lock(1936023916) then
        return;
    end if;
    select * into last from ledger.blocks b order by b.number desc limit 1;

    -- The time before this transaction's own id, which writing takes.
    if pg_catalog.pg_current_xact_id_if_assigned() is not null then
        raise exception 'the journal is sealed by a transaction that has done nothing before' using errcode = 'invalid_transaction_state';
    end if;
    clock := pg_catalog.clock_timestamp();
    with now as materialized (
        select pg_catalog.pg_current_snapshot() as snapshot
    ), seen as materialized (
        select t.id, t.decided_at, t.xact, t.digest, case when t.account_ids = '{}' then t.owner_id end as owner_id,
            t.xact >= pg_snapshot_xmin(n.snapshot) and t.xact < pg_snapshot_xmax(n.snapshot) as is_recent
        from now n
        join ledger.transactions t on t.xact >= case when last.resume_at <= pg_snapshot_xmax(n.snapshot) then last.resume_at else '0'::xid8 end
        where (after_restart or t.xact < pg_snapshot_xmax(n.snapshot))
            and not exists (select from ledger.journal j where j.transaction_id = t.id offset 0)
    ), ordered as materialized (
        select s.*, row_number() over (order by s.decided_at, s.id) as place,
            s.decided_at < coalesce((select min(r.decided_at) from seen r where r.is_recent), 'infinity') as is_final
        from seen s where not s.is_recent
    ), written as (
        insert into ledger.journal (sequence, transaction_id, owner_id)
        select coalesce(last.last_sequence, 0) + o.place, o.id, o.owner_id from ordered o where o.is_final and o.place <= at_most
        order by o.place
        returning 1
    )
    select (select n.snapshot from now n) as snapshot, count(o.id) filter (where o.is_final and o.place <= at_most) as count,
        string_agg(o.digest, ''::bytea order by o.place) filter (where o.is_final and o.place <= at_most) as digests,
        min(o.xact::text::numeric) filter (where not o.is_final or o.place > at_most) as left_xact,
        min(o.decided_at) filter (where not o.is_final or o.place > at_most) as left_at,
        least(min(o.decided_at) filter (where not o.is_final or o.place > at_most), (select min(r.decided_at) from seen r where r.is_recent)) as waits_since
    into found_some
    from ordered o;

    if found_some.count > 0 then
        select * into horizon from ledger.horizon h;
        if horizon.noted_xact < pg_snapshot_xmin(found_some.snapshot) then
            horizon.horizon := horizon.noted_at;
            update ledger.horizon h set horizon = h.noted_at, noted_at = clock - interval '1 microsecond', noted_xact = pg_catalog.pg_current_xact_id();
        end if;
        -- What is left was decided after it; so was what is not there to be seen yet.
        new_horizon := greatest(last.horizon, least(horizon.horizon, found_some.left_at - interval '1 microsecond'));
        insert into ledger.blocks (number, first_sequence, last_sequence, horizon, resume_at, previous, hash)
        select v.number, v.first, v.last, new_horizon,
            case when found_some.left_xact < (pg_snapshot_xmin(found_some.snapshot))::text::numeric
                then found_some.left_xact::text::xid8 else pg_snapshot_xmin(found_some.snapshot) end,
            v.previous, ledger.block_hash(v.number, v.first, v.last, v.previous, found_some.digests)
        from (select coalesce(last.number, 0) + 1, coalesce(last.last_sequence, 0) + 1, coalesce(last.last_sequence, 0) + found_some.count,
            coalesce(last.hash, decode(repeat('00', 32), 'hex'))) v(number, first, last, previous);
    end if;
    sealed := found_some.count;
    last_sequence := coalesce(last.last_sequence, 0) + found_some.count;
    waiting := clock - found_some.waits_since;
    return next;
end $$;
revoke execute on function ledger.seal(integer, boolean) from public;

-- The time after which everything behind a sequence of the journal was decided: where to begin among an account's entries.
create function ledger.decided_after(sequence bigint) returns timestamptz language sql stable security definer set search_path = '' as $$
    select coalesce((
        select p.horizon from ledger.blocks b join ledger.blocks p on p.number = b.number - 1
        where b.last_sequence > decided_after.sequence order by b.last_sequence limit 1), (
        select max(b.horizon) from ledger.blocks b where b.last_sequence <= decided_after.sequence), '-infinity');
$$;
revoke execute on function ledger.decided_after(bigint) from public;

grant select on ledger.journal, ledger.blocks, ledger.horizon, ledger.verified to ledger_worker;
grant update (number) on ledger.verified to ledger_worker;
grant execute on function ledger.seal(integer, boolean) to ledger_worker;
grant select on ledger.journal, ledger.blocks, ledger.horizon to ledger_api;
grant execute on function ledger.decided_after(bigint) to ledger_api;

alter table ledger.journal enable row level security;
alter table ledger.blocks enable row level security;
-- The policy of transactions says which.
create policy of_caller on ledger.journal for select to ledger_api
    using ((select ledger.reads_everything()) or exists (select from ledger.transactions t where t.id = transaction_id));
create policy of_staff on ledger.blocks for select to ledger_api using ((select ledger.reads_everything()));
create policy every_row on ledger.journal for select to ledger_worker using (true);
create policy every_row on ledger.blocks for select to ledger_worker using (true);
