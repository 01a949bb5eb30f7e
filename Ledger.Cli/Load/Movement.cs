using Ledger.Core.Currencies;

namespace Ledger.Cli.Load;

/// <summary>What a command does to the books of the run once it is posted.</summary>
/// <param name="Kind">The kind of the transaction in the API, such as <c>deposit</c>.</param>
/// <param name="Owner">The user whose command it is and who sees it when it is rejected too; null for journals and reversals.</param>
/// <param name="Currency">The currency of the transaction.</param>
/// <param name="Amount">The amount of the transaction in minor units.</param>
/// <param name="Legs">In the order of the transaction's entries.</param>
/// <param name="Reverses">The transaction that a reversal takes back.</param>
internal sealed record Movement(
    string Kind, LoadUser? Owner, Currency Currency, long Amount, IReadOnlyList<Leg> Legs, string Reference, Guid? Reverses = null)
{
    /// <summary>A command that moves one amount.</summary>
    public static Movement Of(string kind, LoadUser owner, Leg leg, string reference) =>
        new(kind, owner, (leg.From ?? leg.To!).Currency, leg.Amount, [leg], reference);

    /// <summary>The wallets that it debits or credits.</summary>
    public IEnumerable<Wallet> Wallets => Legs.SelectMany(leg => new[] { leg.From, leg.To }).OfType<Wallet>().Distinct();

    /// <summary>The users who see it once it is posted.</summary>
    public IEnumerable<LoadUser> Users => Wallets.Select(wallet => wallet.Owner).OfType<LoadUser>().Distinct();

    /// <summary>Reserves the debits of all legs, or of none.</summary>
    public bool TryReserve()
    {
        for (var i = 0; i < Legs.Count; i++)
        {
            if (Legs[i].From?.TryReserve(Legs[i].Amount) ?? true)
                continue;
            foreach (var leg in Legs.Take(i))
                leg.From?.Release(leg.Amount);
            return false;
        }
        return true;
    }

    public void Release()
    {
        foreach (var leg in Legs)
            leg.From?.Release(leg.Amount);
    }

    /// <summary>Takes debits that were posted without a reservation from what can be reserved.</summary>
    public void TakeUnreserved()
    {
        foreach (var leg in Legs)
            leg.From?.Release(-leg.Amount);
    }

    /// <summary>Enters the legs in the books.</summary>
    public void Post()
    {
        foreach (var leg in Legs)
        {
            leg.From?.Debit(leg.Amount);
            leg.To?.Credit(leg.Amount);
        }
    }

    /// <summary>Ends the occupation of wallets on which one command is under way at a time.</summary>
    public void Vacate()
    {
        foreach (var wallet in Wallets)
            wallet.Vacate();
    }

    /// <summary>The currencies and amounts of the entries that a viewer sees.</summary>
    /// <param name="viewer">Null for the sender of a command without an owner, who sees all that state a balance.</param>
    public IEnumerable<(string Currency, string Amount)> EntriesFor(LoadUser? viewer)
    {
        foreach (var leg in Legs)
        {
            if (leg.From is { } from && from.IsSeenBy(viewer))
                yield return (from.Currency.Code, from.Currency.FormatAmount(-leg.Amount));
            if (leg.To is { } to && to.IsSeenBy(viewer))
                yield return (to.Currency.Code, to.Currency.FormatAmount(leg.Amount));
        }
    }
}

/// <summary>Money that moves from one wallet to another.</summary>
/// <param name="From">Null for money that comes into the ledger.</param>
/// <param name="To">Null for money that leaves the ledger.</param>
/// <param name="Amount">In minor units.</param>
internal readonly record struct Leg(Wallet? From, Wallet? To, long Amount)
{
    public Leg Reversed => new(To, From, Amount);
}
