using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Cli;

/// <summary><c>ledger load</c> against an API without self-service deposits, as in Production.</summary>
public sealed class LoadTests(LedgerSystem system)
{
    [Theory]
    [InlineData("LEDGER_API_KEY")]
    [InlineData("KEY_OF_A_TEST", "--api-key-variable", "KEY_OF_A_TEST")]
    public async Task A_load_with_an_operators_key_deposits_on_behalf_of_its_users(string variable, params string[] arguments)
    {
        var key = (await system.NewServiceAsync(Scopes.Transactions)).Key;

        var (exitCode, output, errors) = await LoadAsync(arguments, variable, key);

        Assert.True(exitCode == 0, string.Join('\n', output.Concat(errors)));
        Assert.DoesNotContain(output.Concat(errors), line => line.Contains(key, StringComparison.Ordinal));
        var deposits = await Books.NumberAsync(await system.DatabaseAsync(), """
            select count(*) from ledger.transactions
            where kind = 'deposit' and status = 'posted' and principal_id = (select service_id from identity.service_keys where hash = $1)
            """, Secrets.Hash(key));
        // The first deposits: four users in five enabled currencies.
        Assert.True(deposits >= 4 * 5, $"The key made {deposits} deposits.");
    }

    [Fact]
    public async Task A_load_without_a_key_ends_with_the_error_of_the_API()
    {
        var (exitCode, _, errors) = await LoadAsync([], "LEDGER_API_KEY", null);

        Assert.Equal(1, exitCode);
        Assert.Contains("403 forbidden", Assert.Single(errors), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("LEDGER_API_KEY", "no key")]
    [InlineData("KEY_OF_A_TEST", null, "--api-key-variable", "KEY_OF_A_TEST")]
    public async Task A_malformed_or_missing_key_ends_a_load_before_the_first_request_and_is_not_printed(string variable, string? value, params string[] arguments)
    {
        var (exitCode, output, errors) = await LoadAsync(arguments, variable, value);

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Contains(variable, Assert.Single(errors), StringComparison.Ordinal);
        Assert.DoesNotContain("no key", errors[0], StringComparison.Ordinal);
    }

    private async Task<(int ExitCode, string[] Output, string[] Errors)> LoadAsync(string[] arguments, string variable, string? key)
    {
        using var api = await system.StartApiAsync(("Ledger__SelfServiceDeposits", "false"));
        // --tolerate-outage, because starts can be late while other tests load the machine.
        return await Tool.RunAsync(
            "ledger",
            ["load", "--url", api.Address.ToString(), "--rate", "50", "--duration", "2s", "--users", "4", "--tolerate-outage", .. arguments],
            new Dictionary<string, string?> { ["LEDGER_API_KEY"] = null, [variable] = key });
    }
}
