using Ledger.Core.Transactions;
using Npgsql;

namespace Ledger.Core.Posting;

/// <summary>
/// Posts batches of commands in PostgreSQL: lock, judge, write, one commit. It knows neither HTTP nor AMQP.
/// </summary>
/// <remarks>
/// A command is posted exactly once, however often and wherever it is delivered: its id is the primary key of what it
/// leaves behind, and that is written in the commit that moves the money. Engines in several processes may work on the
/// same accounts at the same time.
/// </remarks>
public sealed class PostingEngine
{
    // Neighbouring batches of one engine and the engines of several workers meet on different settlement shards.
    private int _shard = Random.Shared.Next(SettlementShards);

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

    private static Decision Decide(Command command, Book book, Batch batch)
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

    private static Transaction Settle(Command command, Book book)
    {
        // Whoever was authenticated spends its own money alone. The API holds to that; a fault there ends here.
        if (command.Kind != TransactionKind.Deposit && command.CallerId is { } caller && caller != command.OwnerId)
            return Rejected(command, book, new Rejection(RejectionCodes.Forbidden));
        if (book.Currency(command.Currency) is not { } currency)
            return Rejected(command, book, new Rejection(RejectionCodes.CurrencyUnknown));
        if (!currency.Enabled)
            return Rejected(command, book, new Rejection(RejectionCodes.CurrencyDisabled));

        var (debited, credited) = command.Kind switch
        {
            TransactionKind.Deposit => (currency.Settlement, book.AccountOf(command.OwnerId, command.Currency)),
            TransactionKind.Withdrawal => (book.AccountOf(command.OwnerId, command.Currency), currency.Settlement),
            TransactionKind.Transfer => (
                book.AccountOf(command.OwnerId, command.Currency),
                command.RecipientId is { } recipient ? book.AccountOf(recipient, command.Currency) : Book.Nobody),
            _ => throw new ArgumentOutOfRangeException(nameof(command), command.Kind, "A kind of command that the engine does not post."),
        };
        if (debited == Book.Nobody || credited == Book.Nobody)
            return Rejected(command, book, new Rejection(RejectionCodes.RecipientUnknown));

        ref var from = ref book.Accounts[debited];
        ref var to = ref book.Accounts[credited];
        if (Judge.Move(ref from, ref to, command.Amount) is { } rejection)
            return Rejected(command, book, rejection);

        return Transaction.Pending(command) with
        {
            Status = TransactionStatus.Posted,
            DecidedAt = book.Now,
            Entries = [EntryOn(from, -command.Amount), EntryOn(to, command.Amount)],
        };
    }

    private static Transaction Rejected(Command command, Book book, Rejection rejection) =>
        Transaction.Pending(command) with { Status = TransactionStatus.Rejected, DecidedAt = book.Now, Rejection = rejection };

    private static Entry EntryOn(in AccountState account, long amount) => new(
        account.Id, account.OwnerId, account.Currency, amount, account.OwnerId is null ? null : account.Posted);
}
