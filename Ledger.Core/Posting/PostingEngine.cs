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
        _undo.Clear();

        // Rolled back where it ends unless it was committed: together with the writes, below.
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var book = await Book.LockAsync(connection, commands, _shard, cancellationToken);
        var batch = new Batch(commands.Count);
        var decisions = new Decision[commands.Count];
        for (var i = 0; i < decisions.Length; i++)
            decisions[i] = Decide(commands[i], book, batch);
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

        if (command.IdempotencyKey is { } key && book.KeyOf(command.KeyOwnerId, key) is { } use && use.TransactionId != command.Id)
        {
            batch.Forget(command);
            return use.RequestHash.AsSpan().SequenceEqual(command.RequestHash)
                ? new Decision(command, DecisionKind.Replayed, use.TransactionId, book.Outcome(use.TransactionId))
                : new Decision(command, DecisionKind.KeyReused, use.TransactionId, null);
        }

        var outcome = Settle(command, book);
        book.Remember(command, outcome);
        batch.Add(command, outcome);
        return new Decision(command, DecisionKind.Decided, command.Id, outcome);
    }

    private Transaction Settle(Command command, Book book)
    {
        var mark = _undo.Count;
        var rejection = PlanCompiler.Compile(command, book, _movements, out var count)
            ?? Judge.Apply(new Plan(_movements.AsSpan(0, count)), book.Accounts, _undo);
        var outcome = Transaction.Pending(command) with { DecidedAt = book.Now };
        return rejection is null
            ? outcome with { Status = TransactionStatus.Posted, Entries = EntriesOf(_undo.Since(mark), book.Accounts) }
            : outcome with { Status = TransactionStatus.Rejected, Rejection = rejection };
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
                account.Id, account.OwnerId, new Money(change.Amount, account.Currency), account.OwnerId is null ? null : change.PostedAfter);
        }
        return entries;
    }
}
