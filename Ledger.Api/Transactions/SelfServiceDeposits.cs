namespace Ledger.Api.Transactions;

/// <summary>
/// Whether users may deposit for themselves (<c>Ledger__SelfServiceDeposits</c>). The default is on in Development and off
/// elsewhere: there, only an operator or an API key can state that money arrived.
/// </summary>
public sealed record SelfServiceDeposits(bool AreOn);

public static partial class SelfServiceDepositsSetup
{
    public static void AddSelfServiceDeposits(this IHostApplicationBuilder builder) => builder.Services.AddSingleton(
        new SelfServiceDeposits(builder.Configuration.GetValue<bool?>("Ledger:SelfServiceDeposits") ?? builder.Environment.IsDevelopment()));

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

    [LoggerMessage(LogLevel.Information, "Self-service deposits are off: operators and API keys make deposits, on behalf of users")]
    private static partial void LogOff(ILogger logger);
}
