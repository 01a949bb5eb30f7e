using System.Globalization;
using Ledger.Core.Currencies;
using Ledger.ServiceDefaults;

namespace Ledger.Api.Transactions;

/// <summary>
/// Whether users may deposit for themselves (<c>Ledger__SelfServiceDeposits</c>). The default is on in Development and off
/// elsewhere: there, only an operator or a service account can state that money arrived.
/// </summary>
/// <param name="Limit">
/// The largest of them, in major units of any currency (<c>Ledger__SelfServiceDepositLimit</c>): users could otherwise fill a currency's
/// settlement accounts with a few deposits.
/// </param>
public sealed record SelfServiceDeposits(bool AreOn, decimal Limit)
{
    /// <summary>Whether a deposit of a user for itself exceeds the limit.</summary>
    public bool IsTooLarge(long minorUnits, Currency currency)
    {
        decimal amount = minorUnits;
        for (var digit = 0; digit < currency.Exponent; digit++)
            amount /= 10;
        return amount > Limit;
    }
}

public static partial class SelfServiceDepositsSetup
{
    private const decimal DefaultLimit = 1_000_000;

    public static void AddSelfServiceDeposits(this IHostApplicationBuilder builder)
    {
        var limit = builder.Configuration.GetValue<decimal?>("Ledger:SelfServiceDepositLimit") ?? DefaultLimit;
        if (limit <= 0)
            throw new ConfigurationException($"Ledger__SelfServiceDepositLimit must be above zero, not {limit.ToString(CultureInfo.InvariantCulture)}.");
        builder.Services.AddSingleton(new SelfServiceDeposits(
            builder.Configuration.GetValue<bool?>("Ledger:SelfServiceDeposits") ?? builder.Environment.IsDevelopment(), limit));
    }

    /// <summary>Logs the setting at start.</summary>
    public static void LogSelfServiceDeposits(this WebApplication app)
    {
        if (app.Services.GetRequiredService<SelfServiceDeposits>().AreOn)
            LogOn(app.Logger);
        else
            LogOff(app.Logger);
    }

    [LoggerMessage(LogLevel.Warning, "Self-service deposits are on: every user can create money. Set Ledger__SelfServiceDeposits=false to turn them off")]
    private static partial void LogOn(ILogger logger);

    [LoggerMessage(LogLevel.Information, "Self-service deposits are off: service accounts and operators make deposits, on behalf of users")]
    private static partial void LogOff(ILogger logger);
}
