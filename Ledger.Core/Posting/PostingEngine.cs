using Ledger.Core.Currencies;
using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Core.Posting;

/// <summary>
/// Posts batches of commands in PostgreSQL: lock, judge, write, one commit. It knows neither HTTP nor AMQP.
/// </summary>
/// <remarks>
/// An engine posts one batch at a time. A command is posted exactly once, however often and wherever it is delivered: its id is the primary key of what it
/// leaves behind, and that is written in the commit that moves the money. Engines in several processes may work on the
/// same accounts at the same time.
/// </remarks>
public sealed class PostingEngine
{
    // Neighbouring batches of one engine and the engines of several workers meet on different settlement shards.
    private int _shard = Random.Shared.Next(SettlementShards);

    private readonly Movement[] _movements = new Movement[Plan.MaxMovements];
    private readonly UndoLog _undo = new();

    /// <summary>How many rows share a currency's settlement balance; the migrations open as many.</summary>
    public const int SettlementShards = 16;

    /// <summary>
    /// Decides every command of the batch, in order, and returns the decisions in the same order. All or nothing: if
    /// this throws, nothing of the batch was written.
    /// </summary>
    /// <param name="connection">Open, with no transaction under way.</param>
    public async Task<IReadOnlyList<Decision>> PostAsync(
        NpgsqlConnection connection, IReadOnlyList<Command> commands, CancellationToken cancellationToken)
    {
        _shard = (_shard + 1) % SettlementShards;
        return await PostAsync(connection, commands, _shard, cancellationToken)
            ?? await PostAsync(connection, commands, shard: null, cancellationToken)
            ?? throw new InvalidOperationException("A batch with all settlement shards asked for another one.");
    }

    // Null if the shard has no room for a movement; nothing was written then. Without a shard, each movement can use any.
    private async Task<IReadOnlyList<Decision>?> PostAsync(
        NpgsqlConnection connection, IReadOnlyList<Command> commands, int? shard, CancellationToken cancellationToken)
    {
        _undo.Clear();

        // Rolled back where it ends unless it was committed: together with the writes, below.
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var book = await Book.LockAsync(connection, commands, shard, [], cancellationToken);
        if (book.RecipientsBesideUsers(commands) is { Count: > 0 } recipients)
        {
            // Accounts are locked in one order, so these cannot be locked after the others: the batch begins anew. Only transfers to an
            // account, or to an id of nothing, cost this.
            await transaction.RollbackAsync(cancellationToken);
            await using var again = await connection.BeginTransactionAsync(cancellationToken);
            return await DecideAsync(connection, await Book.LockAsync(connection, commands, shard, recipients, cancellationToken), commands, cancellationToken);
        }
        return await DecideAsync(connection, book, commands, cancellationToken);
    }

    private async Task<IReadOnlyList<Decision>?> DecideAsync(
        NpgsqlConnection connection, Book book, IReadOnlyList<Command> commands, CancellationToken cancellationToken)
    {
        var batch = new Batch(commands.Count);
        var decisions = new Decision[commands.Count];
        for (var i = 0; i < decisions.Length; i++)
        {
            decisions[i] = Decide(commands[i], book, batch);
            if (book.NeedsMoreShards)
                return null;
        }
        await batch.CommitAsync(connection, book, cancellationToken);
        return decisions;
    }

    private Decision Decide(Command command, Book book, Batch batch)
    {
        if (book.Outcome(command.Id) is { } known)
        {
            batch.Forget(command);
            return new Decision(command, DecisionKind.Known, command.Id, known);
        }

        if (command.IdempotencyKey is { } key && book.KeyOf(command.PrincipalId, key) is { } use && use.TransactionId != command.Id)
        {
            batch.Forget(command);
            return RequestHash.Matches(command, use.RequestHash)
                ? new Decision(command, DecisionKind.Replayed, use.TransactionId, book.Outcome(use.TransactionId))
                : new Decision(command, DecisionKind.KeyReused, use.TransactionId, null);
        }

        if (book.AwaitsOperator(command.Id))
            return new Decision(command, DecisionKind.Undecided, command.Id, null);

        var outcome = Settle(command, book);
        book.Remember(command, outcome);
        batch.Add(command, outcome);
        return new Decision(command, DecisionKind.Decided, command.Id, outcome);
    }

    private Transaction Settle(Command command, Book book)
    {
        var mark = _undo.Count;
        Rejection? rejection;
        int count;
        do
        {
            rejection = PlanCompiler.Compile(command, book, _movements, out count)
                ?? (Judge.Apply(new Plan(_movements.AsSpan(0, count)), book.Accounts, _undo) is { } judged ? Describe(judged, command, book) : null);
        }
        while (rejection is { Code: RejectionCodes.BalanceOverflow } && book.TryAnotherShard(_movements.AsSpan(0, count)));
        var time = TimeOf(_movements.AsSpan(0, count), book);
        var outcome = Transaction.Decided(command, time);
        if (rejection is { } reason)
            return outcome with { Status = TransactionStatus.Rejected, Rejection = reason, Details = TransactionDetails.WithRequired(outcome.Details, reason.Required) };

        foreach (ref readonly var change in _undo.Since(mark))
            book.Accounts[change.Account].LastPostedAt = time;
        outcome = outcome with { Status = TransactionStatus.Posted, Entries = EntriesOf(_undo.Since(mark), book.Accounts) };
        // A transfer to an account names the owner as its recipient.
        return command.RecipientId is { } recipient && book.AccountById(recipient) is var account and not Book.NoAccount
            ? outcome with { RecipientId = book.Accounts[account].OwnerId }
            : outcome;
    }

    // Where the amounts of the movements are not that of the transaction, a rejection says which amount was too large. Its place means
    // something to the client of a journal only.
    private Rejection Describe(Rejection rejection, Command command, Book book)
    {
        if (!PlanCompiler.HasAmountsOfItsOwn(command.Kind))
            return rejection;
        var index = rejection.Index ?? 0;
        var movement = _movements[index];
        return rejection with
        {
            Index = command.Kind == TransactionKind.Journal ? index : null,
            Required = rejection.Available is null ? null : new Money(movement.Amount, book.Accounts[movement.From].Currency),
        };
    }

    // Behind all that was posted to its own accounts before, also by this batch or when the database's clock was ahead; other
    // accounts of the batch do not matter. Batches meet on shards without a lock, so that shards have no order.
    private static DateTime TimeOf(ReadOnlySpan<Movement> movements, Book book)
    {
        var time = book.Now;
        foreach (ref readonly var movement in movements)
        {
            time = Later(time, book.Accounts[movement.From]);
            time = Later(time, book.Accounts[movement.To]);
        }
        return time;

        static DateTime Later(DateTime time, in AccountState account) =>
            !account.IsUnlimited && account.LastPostedAt >= time ? account.LastPostedAt.AddMicroseconds(1) : time;
    }

    private static Entry[] EntriesOf(ReadOnlySpan<UndoLog.Change> changes, ReadOnlySpan<AccountState> accounts)
    {
        var count = 0;
        foreach (ref readonly var change in changes)
            count += change.Amount == 0 ? 0 : 1;
        var entries = new Entry[count];
        var written = 0;
        foreach (ref readonly var change in changes)
        {
            if (change.Amount == 0)
                continue;
            ref readonly var account = ref accounts[change.Account];
            entries[written++] = new Entry(
                account.Id, account.OwnerId, new Money(change.Amount, account.Currency), account.IsUnlimited ? null : change.PostedAfter);
        }
        return entries;
    }
}
