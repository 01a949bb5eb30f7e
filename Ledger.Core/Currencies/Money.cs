namespace Ledger.Core.Currencies;

/// <summary>An amount of money in one currency.</summary>
/// <param name="MinorUnits">Cents, yen, fils: as many decimal digits as the currency's exponent says. May be negative.</param>
/// <param name="Currency">The code of the currency, such as USD.</param>
public readonly record struct Money(long MinorUnits, string Currency)
{
    /// <summary>The same amount in the other direction.</summary>
    public static Money operator -(Money money) => money with { MinorUnits = -money.MinorUnits };

    /// <summary>Minor units and code, for logs. <see cref="Currencies.Currency.FormatAmount(Money)"/> writes it for people.</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{MinorUnits} {Currency}");
}
