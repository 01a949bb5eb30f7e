using Ledger.Core.Transactions;

namespace Ledger.Core.Posting;

/// <summary>Compiles commands to plans. A new kind of command is a new case here.</summary>
internal static class PlanCompiler
{
    /// <summary>Writes the movements that a command asks for, or says why it cannot have any.</summary>
    /// <param name="movements">Room for <see cref="Plan.MaxMovements"/>.</param>
    /// <param name="count">How many of them were written; 0 with a rejection.</param>
    public static Rejection? Compile(Command command, Book book, Span<Movement> movements, out int count)
    {
        count = 0;
        // The API checks this too; the engine does not rely on it.
        if (!book.MayMove(command))
            return new Rejection(RejectionCodes.Forbidden);
        if (book.Currency(command.Currency) is not { } currency)
            return new Rejection(RejectionCodes.CurrencyUnknown);
        if (!currency.Enabled)
            return new Rejection(RejectionCodes.CurrencyDisabled);

        var own = book.AccountOf(command.OwnerId, command.Currency);
        var (from, to) = command.Kind switch
        {
            TransactionKind.Deposit => (currency.Settlement, own),
            TransactionKind.Withdrawal => (own, currency.Settlement),
            TransactionKind.Transfer => (own, command.RecipientId is { } recipient ? book.AccountOf(recipient, command.Currency) : Book.NoAccount),
            _ => throw new ArgumentOutOfRangeException(nameof(command), command.Kind, "The engine has no plan for this kind of command."),
        };
        if (from == Book.NoAccount)
            return new Rejection(RejectionCodes.AccountClosed);
        if (to == Book.NoAccount)
            return Judge.Debit(book.Accounts[from], command.Amount.MinorUnits) ?? new Rejection(RejectionCodes.RecipientUnknown);

        movements[count++] = new Movement(from, to, command.Amount.MinorUnits);
        return null;
    }
}
