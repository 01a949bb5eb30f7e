using System.Diagnostics;
using Ledger.Core.Currencies;
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
        if (command.Terms?.EffectiveAt < book.ClosedUntil)
            return new Rejection(RejectionCodes.PeriodClosed);

        var written = 0;
        var rejection = command.Kind switch
        {
            TransactionKind.Deposit or TransactionKind.Withdrawal or TransactionKind.Transfer => CompilePayment(command, book, movements, ref written),
            TransactionKind.Journal => CompileJournal(command, book, movements, ref written),
            TransactionKind.Exchange => CompileExchange(command, book, movements, ref written),
            TransactionKind.Reversal => CompileReversal(command, book, movements, ref written),
            _ => throw new ArgumentOutOfRangeException(nameof(command), command.Kind, "The engine has no plan for this kind of command."),
        };
        count = rejection is null ? written : 0;
        return rejection;
    }

    /// <summary>Whether the amounts of the kind's movements may differ from the amount of the transaction.</summary>
    public static bool HasAmountsOfItsOwn(TransactionKind kind) =>
        kind is TransactionKind.Journal or TransactionKind.Exchange or TransactionKind.Reversal;

    private static Rejection? CompilePayment(Command command, Book book, Span<Movement> movements, ref int count)
    {
        if (CurrencyOf(command.Currency, book, out var currency) is { } rejection)
            return rejection;
        var own = OwnAccount(command, command.Currency, book);
        if (own == Book.NoAccount)
        {
            return new Rejection(command.Terms?.AccountId is not null ? RejectionCodes.AccountUnknown
                : command.Kind == TransactionKind.Deposit ? RejectionCodes.RecipientUnknown : RejectionCodes.AccountClosed);
        }
        var (from, to) = command.Kind switch
        {
            TransactionKind.Deposit => (currency.Settlement, own),
            TransactionKind.Withdrawal => (own, currency.Settlement),
            _ => (own, command.RecipientId is { } recipient ? RecipientAccount(recipient, command.Currency, book) : Book.NoAccount),
        };
        if (to == Book.NoAccount)
            return Judge.Debit(book.Accounts[from], command.Amount.MinorUnits) ?? new Rejection(RejectionCodes.RecipientUnknown);
        return Write(from, to, command.Amount, movements, ref count);
    }

    private static Rejection? CompileJournal(Command command, Book book, Span<Movement> movements, ref int count)
    {
        if (command.Terms?.Postings is not { Count: > 0 and <= Plan.MaxMovements } postings)
            throw new ArgumentException($"A journal has 1 to {Plan.MaxMovements} postings.", nameof(command));
        for (var i = 0; i < postings.Count; i++)
        {
            var posting = postings[i];
            if ((CurrencyOf(posting.Amount.Currency, book, out var currency)
                ?? End(posting.From, posting.Amount.Currency, currency, book, out var from)
                ?? End(posting.To, posting.Amount.Currency, currency, book, out var to)
                ?? Write(from, to, posting.Amount, movements, ref count)) is { } rejection)
                return rejection with { Index = i };
        }
        return null;
    }

    private static Rejection? CompileExchange(Command command, Book book, Span<Movement> movements, ref int count)
    {
        if (command.Terms?.Buy is not { } buy || buy.Currency == command.Currency)
            throw new ArgumentException("An exchange buys another currency than it sells.", nameof(command));
        if ((CurrencyOf(command.Currency, book, out _) ?? CurrencyOf(buy.Currency, book, out _)) is { } rejection)
            return rejection;
        var (sold, bought) = (OwnAccount(command, command.Currency, book), OwnAccount(command, buy.Currency, book));
        if (sold == Book.NoAccount || bought == Book.NoAccount)
            return new Rejection(RejectionCodes.RecipientUnknown);
        return Write(sold, book.Exchange(command.Currency), command.Amount, movements, ref count)
            ?? Write(book.Exchange(buy.Currency), bought, buy, movements, ref count);
    }

    private static Rejection? CompileReversal(Command command, Book book, Span<Movement> movements, ref int count)
    {
        if (command.Terms?.Reverses is not { } id)
            throw new ArgumentException("A reversal names a transaction.", nameof(command));
        if (book.Original(id) is not { Status: TransactionStatus.Posted, Reverses: null } original)
            return new Rejection(RejectionCodes.NotReversible);
        if (book.IsReversed(id))
            return new Rejection(RejectionCodes.AlreadyReversed);

        // The last movement first: money that one movement brought and the next one spent goes back the same way.
        for (var i = original.Entries.Count - 2; i >= 0; i -= 2)
        {
            var (debit, credit) = (original.Entries[i], original.Entries[i + 1]);
            Debug.Assert(credit.Amount == -debit.Amount && credit.Amount.MinorUnits > 0);
            if ((CurrencyOf(credit.Amount.Currency, book, out var currency)
                ?? Write(AccountOf(credit, original, currency, book), AccountOf(debit, original, currency, book), credit.Amount, movements, ref count)) is { } rejection)
                return rejection;
        }
        return null;
    }

    private static int AccountOf(in Entry entry, Transaction original, CurrencyState currency, Book book) =>
        !References.IsOnShard(entry) ? book.AccountById(entry.AccountId)
        : References.IsExchange(original) ? book.Exchange(entry.Amount.Currency)
        : currency.Settlement;

    private static Rejection? CurrencyOf(string code, Book book, out CurrencyState currency)
    {
        currency = default;
        if (book.Currency(code) is not { } known)
            return new Rejection(RejectionCodes.CurrencyUnknown);
        currency = known;
        return known.Enabled ? null : new Rejection(RejectionCodes.CurrencyDisabled);
    }

    private static int OwnAccount(Command command, string currency, Book book)
    {
        if (command.OwnerId is not { } owner)
            return Book.NoAccount;
        if (command.Terms?.AccountId is not { } id)
            return book.AccountOf(owner, currency);
        var account = book.AccountById(id);
        return account != Book.NoAccount && book.Accounts[account].OwnerId == owner && book.Accounts[account].Currency == currency ? account : Book.NoAccount;
    }

    // A recipient's id is that of a user or of an account.
    private static int RecipientAccount(Guid recipient, string currency, Book book)
    {
        var main = book.AccountOf(recipient, currency);
        return main != Book.NoAccount ? main : Named(recipient, currency, book);
    }

    private static int Named(Guid id, string currency, Book book)
    {
        var account = book.AccountById(id);
        return account != Book.NoAccount && book.Accounts[account].Currency == currency ? account : Book.NoAccount;
    }

    private static Rejection? End(PostingEnd end, string code, CurrencyState currency, Book book, out int account)
    {
        account = end switch
        {
            { UserId: { } user } => book.AccountOf(user, code),
            { AccountId: { } id } => Named(id, code, book),
            { House: { } name } => book.HouseAccount(name, code),
            _ => currency.Settlement,
        };
        return account != Book.NoAccount ? null : new Rejection(end.UserId is null ? RejectionCodes.AccountUnknown : RejectionCodes.RecipientUnknown);
    }

    private static Rejection? Write(int from, int to, Money amount, Span<Movement> movements, ref int count)
    {
        if (from == to)
            return new Rejection(RejectionCodes.SameAccount);
        movements[count++] = new Movement(from, to, amount.MinorUnits);
        return null;
    }
}
