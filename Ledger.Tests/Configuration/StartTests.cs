using Ledger.Tests.Harness;

namespace Ledger.Tests.Configuration;

/// <summary>A mistake in the configuration ends a service at its start, with one line that names it.</summary>
public sealed class StartTests
{
    [Theory]
    [InlineData("Ledger.Worker", "Ledger__Worker__Prefetch", "0", "Prefetch")]
    [InlineData("Ledger.Worker", "Ledger__Worker__MaxBatch", "many", "MaxBatch")]
    [InlineData("Ledger.Worker", "Ledger__Worker__Prefetsch", "10", "Prefetsch")]
    [InlineData("Ledger.Worker", "Ledger__Audit__SignInDays", "89", "SignInDays")]
    [InlineData("Ledger.Worker", "ConnectionStrings__ledgerdb", null, "ConnectionStrings__ledgerdb")]
    [InlineData("Ledger.Worker", "ConnectionStrings__messaging", null, "ConnectionStrings__messaging")]
    [InlineData("Ledger.Api", "Ledger__Gateway__MaxEnvelope", "0", "MaxEnvelope")]
    [InlineData("Ledger.Api", "Ledger__Http__MaxBodyBytes", "64k", "MaxBodyBytes")]
    [InlineData("Ledger.Api", "Ledger__Identity__PasswordIterations", "1", "PasswordIterations")]
    [InlineData("Ledger.Api", "Ledger__Identity__PaswordIterations", "210000", "PaswordIterations")]
    [InlineData("Ledger.Api", "ConnectionStrings__ledgerdb", "", "ConnectionStrings__ledgerdb")]
    [InlineData("Ledger.Api", "ConnectionStrings__messaging", null, "ConnectionStrings__messaging")]
    public async Task A_bad_option_ends_the_process_with_exit_code_1_and_one_line_that_names_it(string service, string option, string? value, string named)
    {
        var environment = new Dictionary<string, string?>
        {
            // Nobody listens there; a service with good options would start and try again and again.
            ["ConnectionStrings__ledgerdb"] = "Host=127.0.0.1;Port=1;Username=u;Password=p;Database=d",
            ["ConnectionStrings__messaging"] = "amqp://127.0.0.1:1",
            ["ASPNETCORE_URLS"] = "http://127.0.0.1:0",
            [option] = value,
        };

        var (exitCode, _, errors) = await Tool.RunAsync(service, [], environment);

        Assert.Equal(1, exitCode);
        Assert.Contains(named, Assert.Single(errors), StringComparison.Ordinal);
    }
}
