namespace Ledger.Api.Transactions;

/// <summary>
/// Whether users may deposit for themselves (<c>Ledger__SelfServiceDeposits</c>): on in Development, where money is play money;
/// otherwise off, and a deposit is an operator's or an API key's word that money came in.
/// </summary>
public sealed record SelfServiceDeposits(bool AreOn);

public static partial class SelfServiceDepositsSetup
{
    public static void AddSelfServiceDeposits(this IHostApplicationBuilder builder) => builder.Services.AddSingleton(
        new SelfServiceDeposits(builder.Configuration.GetValue<bool?>("Ledger:SelfServiceDeposits") ?? builder.Environment.IsDevelopment()));

    /// <summary>Says at start which it is: nobody should find out by somebody else's deposit.</summary>
    public static void LogSelfServiceDeposits(this WebApplication app)
    {
        if (app.Services.GetRequiredService<SelfServiceDeposits>().AreOn)
            LogOn(app.Logger);
        else
            LogOff(app.Logger);
    }

    [LoggerMessage(LogLevel.Warning, "Self-service deposits are on: every user can make money. Ledger__SelfServiceDeposits=false takes that away")]
    private static partial void LogOn(ILogger logger);

    [LoggerMessage(LogLevel.Information, "Self-service deposits are off: deposits are made by operators and API keys, on behalf of users")]
    private static partial void LogOff(ILogger logger);
}
