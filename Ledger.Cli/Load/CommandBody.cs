namespace Ledger.Cli.Load;

/// <summary>The path and the body of the request that asks for a movement.</summary>
internal static class CommandBody
{
    public static string PathOf(Movement movement) => movement.Kind switch
    {
        "journal" => "/transactions",
        "reversal" => $"/transactions/{movement.Reverses}/reversal",
        var kind => $"/{kind}s",
    };

    /// <param name="metadata">The metadata of commands without an owner, by which the run finds them again.</param>
    /// <param name="byBackend">Whether a service account or an operator sends the command, which must name its user.</param>
    /// <param name="byEmail">Whether a transfer names the recipient by e-mail address.</param>
    public static byte[] Of(Movement movement, Dictionary<string, string> metadata, bool byBackend, bool byEmail)
    {
        var leg = movement.Legs[0];
        var (code, amount, user) = (movement.Currency.Code, movement.Currency.FormatAmount(leg.Amount), byBackend ? movement.Owner?.Id : null);
        return movement.Kind switch
        {
            "transfer" => LedgerClient.Body(new TransferOrder(Recipient(movement, leg.To!, byEmail), code, amount, movement.Reference), ContractJson.Default.TransferOrder),
            "journal" => LedgerClient.Body(new JournalOrder([.. movement.Legs.Select(Posting)], movement.Reference, metadata), ContractJson.Default.JournalOrder),
            "exchange" => LedgerClient.Body(
                new ExchangeOrder(new(code, amount), AmountOf(movement.Legs[1]), user, movement.Reference), ContractJson.Default.ExchangeOrder),
            "reversal" => LedgerClient.Body(new ReversalOrder(movement.Reference, metadata), ContractJson.Default.ReversalOrder),
            _ => LedgerClient.Body(new MoneyOrder(code, amount, movement.Reference, user, leg.From?.AccountId), ContractJson.Default.MoneyOrder),
        };
    }

    private static string Recipient(Movement movement, Wallet to, bool byEmail) =>
        to.Owner == movement.Owner ? to.AccountId!.Value.ToString() : byEmail ? to.Owner!.Email : to.Owner!.Id.ToString();

    private static PostingOrder Posting(Leg leg)
    {
        var (currency, amount) = AmountOf(leg);
        return new(leg.From?.End ?? "world", leg.To?.End ?? "world", currency, amount);
    }

    private static AmountOrder AmountOf(Leg leg)
    {
        var currency = (leg.From ?? leg.To!).Currency;
        return new(currency.Code, currency.FormatAmount(leg.Amount));
    }
}
