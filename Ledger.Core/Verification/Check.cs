namespace Ledger.Core.Verification;

/// <summary>A rule that the whole ledger keeps, and the query that finds what breaks it.</summary>
/// <param name="Name">Short and stable: the name in reports.</param>
/// <param name="Rule">The rule in words.</param>
/// <param name="Sql">One text column, one row per breach; <c>$1</c> is the age, an interval, that a pending command may reach.</param>
/// <param name="ByAccounts">Whether the query is run piece by piece: for accounts from <c>$3</c>, to below <c>$4</c> unless that is null.</param>
public sealed record Check(string Name, CheckKind Kind, string Rule, string Sql, bool ByAccounts = false)
{
    /// <summary>Every rule, the ones that matter most first.</summary>
    public static IReadOnlyList<Check> All { get; } =
    [
        new("sum-per-currency", CheckKind.Money, "The entries of each currency sum to zero.", """
            select format('%s: entries sum to %s', currency, sum(amount))
            from ledger.entries group by currency having sum(amount) <> 0
            """),
        new("sum-per-transaction", CheckKind.Money, "The entries of each transaction sum to zero in each currency.", """
            select format('transaction %s: entries in %s sum to %s', transaction_id, currency, sum(amount))
            from ledger.entries group by transaction_id, currency having sum(amount) <> 0
            """),
        new("posted-is-sum", CheckKind.Money, "Each account's posted balance is the sum of its entries, on every shard too.", """
            select format('account %s: posted is %s, entries sum to %s', a.id, a.posted, coalesce(e.sum, 0))
            from ledger.accounts a
            left join (
                select account_id, sum(amount) from ledger.entries
                where account_id >= $3 and ($4::uuid is null or account_id < $4) group by account_id) e on e.account_id = a.id
            where a.posted <> coalesce(e.sum, 0) and a.id >= $3 and ($4::uuid is null or a.id < $4)
            """, ByAccounts: true),
        new("held-is-sum", CheckKind.Money, "Each account's held amount is what remains of its holds, and each hold is the sum of its changes.", """
            select format('account %s: held is %s, its holds have %s', a.id, a.held, coalesce(h.sum, 0))
            from ledger.accounts a
            left join (select account_id, sum(remaining) from ledger.holds group by account_id) h on h.account_id = a.id
            where a.held <> coalesce(h.sum, 0)
            union all
            select format('hold %s: %s remains, its changes sum to %s', h.id, h.remaining, coalesce(c.sum, 0))
            from ledger.holds h
            left join (select hold_id, sum(amount) from ledger.hold_changes group by hold_id) c on c.hold_id = h.id
            where h.remaining <> coalesce(c.sum, 0)
            """),
        new("last-balance", CheckKind.Money, "The last entry of each account says what the account's posted balance is.", """
            select format('account %s: posted is %s, its last entry says %s', a.id, a.posted, coalesce(e.balance_after::text, 'nothing'))
            from ledger.accounts a
            left join lateral (
                select balance_after from ledger.entries where account_id = a.id order by posted_at desc, id desc limit 1) e on true
            where a.shard is null and a.posted is distinct from coalesce(e.balance_after, 0) and a.id >= $3 and ($4::uuid is null or a.id < $4)
            """, ByAccounts: true),
        // Batches add to shards without a lock and at the same time, so that entries on them say no balance.
        new("running-balance", CheckKind.Money, "Each entry's balance is the running sum of its account's entries; entries on shards have none.", """
            select format('account %s: entry %s says %s, entries up to it sum to %s',
                e.account_id, e.id, coalesce(e.balance_after::text, 'nothing'), e.running)
            from (
                select account_id, id, balance_after, sum(amount) over (partition by account_id order by posted_at, id) as running
                from ledger.entries where account_id >= $3 and ($4::uuid is null or account_id < $4)) e
            join ledger.accounts a on a.id = e.account_id
            where e.balance_after is distinct from case when a.shard is null then e.running end
            """, ByAccounts: true),
        new("within-limit", CheckKind.Money, "No account has less available than its credit limit allows, and no held amount is below zero.", """
            select format('account %s: posted is %s, held is %s, the limit %s', id, posted, held, credit_limit)
            from ledger.accounts where held < 0 or (shard is null and posted - held < -credit_limit)
            """),
        new("right-entries", CheckKind.Money, "A posted transaction has the entries that its kind, parties, currency and amount ask for; any other has none.", """
            select format('transaction %s: %s %s of %s %s has %s entries, of which %s right debits and %s right credits, and credits of %s in its currency',
                t.id, t.status, t.kind, t.amount, t.currency, l.entries, l.debits, l.credits, l.credited)
            from ledger.transactions t
            join (
                select t.id, count(e.id) as entries, count(e.id) filter (where a.shard is not null) as on_shards,
                    coalesce(sum(e.amount) filter (where e.currency = t.currency and e.amount > 0), 0) as credited,
                    count(*) filter (where case t.kind
                        when 'exchange' then e.amount < 0 and a.owner_id = t.owner_id and e.currency = t.currency and e.amount = -t.amount
                            or e.amount < 0 and a.kind = 'exchange' and e.currency = t.details -> 'buy' ->> 'currency' and e.amount = -(t.details -> 'buy' ->> 'minorUnits')::bigint
                        else e.currency = t.currency and e.amount = -t.amount and case t.kind when 'deposit' then a.kind = 'settlement' else a.owner_id = t.owner_id end end) as debits,
                    count(*) filter (where case t.kind
                        when 'exchange' then e.amount > 0 and a.kind = 'exchange' and e.currency = t.currency and e.amount = t.amount
                            or e.amount > 0 and a.owner_id = t.owner_id and e.currency = t.details -> 'buy' ->> 'currency' and e.amount = (t.details -> 'buy' ->> 'minorUnits')::bigint
                        else e.currency = t.currency and e.amount = t.amount and case t.kind
                            when 'deposit' then a.owner_id = t.owner_id
                            when 'withdrawal' then a.kind = 'settlement'
                            when 'transfer' then a.shard is null and a.owner_id is not distinct from t.recipient_id end end) as credits
                from ledger.transactions t
                left join ledger.entries e on e.transaction_id = t.id
                left join ledger.accounts a on a.id = e.account_id
                group by t.id) l on l.id = t.id
            where case
                when t.status <> 'posted' then l.entries <> 0
                when t.kind in ('deposit', 'withdrawal', 'transfer') then l.entries <> 2 or l.debits <> 1 or l.credits <> 1
                when t.kind = 'exchange' then l.entries <> 4 or l.debits <> 2 or l.credits <> 2
                when t.kind = 'journal' then l.entries not between 2 and 128 or l.entries % 2 <> 0 or l.credited <> t.amount
                else l.entries < 2 end
            """),
        // Shards of one currency and kind are one account: a reversal may stand on another one of them.
        new("right-reversal", CheckKind.Money, "A reversal has the entries of the one posted transaction that it reverses, negated.", """
            with side as (
                select r.id as reversal, e.transaction_id, case when a.shard is null then a.id::text else a.kind end as account, e.currency,
                    case when e.transaction_id = r.id then e.amount else -e.amount end as amount
                from ledger.transactions r
                join ledger.entries e on e.transaction_id in (r.id, r.reverses)
                join ledger.accounts a on a.id = e.account_id
                where r.reverses is not null and r.status = 'posted')
            select format('reversal %s: %s entries of %s %s on %s, the reversed transaction has %s',
                s.reversal, count(*) filter (where s.transaction_id = s.reversal), s.amount, s.currency, s.account, count(*) filter (where s.transaction_id <> s.reversal))
            from side s group by s.reversal, s.account, s.currency, s.amount
            having count(*) filter (where s.transaction_id = s.reversal) <> count(*) filter (where s.transaction_id <> s.reversal)
            union all
            select format('reversal %s: transaction %s is not posted before it, or is a reversal', r.id, r.reverses)
            from ledger.transactions r
            left join ledger.transactions t on t.id = r.reverses and t.status = 'posted' and t.reverses is null and t.decided_at < r.decided_at
            where r.status = 'posted' and (r.reverses is not null or r.kind = 'reversal') and (t.id is null or r.kind <> 'reversal')
            """),
        new("time-of-effect", CheckKind.Money, "Each entry takes effect when its transaction does, and not after it was posted.", """
            select format('entry %s: takes effect at %s, its transaction %s at %s', e.id, e.effective_at, t.id, t.effective_at)
            from ledger.entries e join ledger.transactions t on t.id = e.transaction_id
            where e.effective_at is distinct from t.effective_at or e.effective_at >= e.posted_at
            """),
        new("known-transaction", CheckKind.Money, "Each entry belongs to a transaction that lists its account, at the time of its decision, and stands on an account of its currency.", """
            select format('entry %s: transaction %s %s, account %s in %s %s', e.id,
                e.transaction_id, case when t.id is null then 'is missing' else 'is there' end,
                e.account_id, e.currency, case when a.id is null then 'is missing' else 'is there' end)
            from ledger.entries e
            left join ledger.transactions t on t.id = e.transaction_id and t.decided_at = e.posted_at and e.account_id = any (t.account_ids)
            left join ledger.accounts a on a.id = e.account_id and a.currency = e.currency
            where (t.id is null or a.id is null) and e.account_id >= $3 and ($4::uuid is null or e.account_id < $4)
            """, ByAccounts: true),
        new("not-in-the-future", CheckKind.Money, "Nothing is posted, rejected or failed later than now.", """
            select format('transaction %s: decided at %s', id, decided_at)
            from ledger.transactions where decided_at > clock_timestamp()
            """),
        new("known-key", CheckKind.Money, "Each idempotency key stands for a transaction or a pending command of the caller that the key belongs to.", """
            select format('key "%s" of %s: neither transaction nor pending command %s of that caller', k.key, k.principal_id, k.transaction_id)
            from ledger.idempotency_keys k
            left join ledger.transactions t on t.id = k.transaction_id and t.principal_id = k.principal_id
            left join ledger.pending_commands p on p.id = k.transaction_id and p.principal_id = k.principal_id
            where t.id is null and p.id is null
            """),
        // A command can stand among the pending ones for a while after it was decided: a client's 202 may be recorded in the
        // very moment of the commit. The relay brings it to the worker once more, which removes it; so age is what counts.
        new("pending-age", CheckKind.Liveness, "No pending command is older than the limit.", """
            select format('pending command %s of user %s: recorded at %s', id, owner_id, recorded_at)
            from ledger.pending_commands where failure is null and recorded_at < now() - $1
            """),
        new("pending-failed", CheckKind.Liveness, "No pending command has failed and waits for an operator.", """
            select format('pending command %s of user %s: %s', id, owner_id, failure)
            from ledger.pending_commands where failure is not null
            """),
    ];
}

/// <summary>What a breach of a rule means.</summary>
public enum CheckKind
{
    /// <summary>The books are wrong: money moved that no transaction explains, or a stored fact was changed.</summary>
    Money,
    /// <summary>The books are right, and a command waits for a worker or an operator.</summary>
    Liveness,
}
