using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Scripts;

/// <summary><c>scripts/smoke.sh</c>, the check after a deployment.</summary>
public sealed class SmokeTests(LedgerSystem system)
{
    private static readonly string Script = Repository.PathOf("scripts/smoke.sh");

    [Fact]
    public async Task Every_step_passes_against_a_running_system()
    {
        var environment = new Dictionary<string, string>
        {
            ["LEDGER_API_KEY"] = (await system.NewServiceAsync(Scopes.Transactions)).Key,
            ["LEDGER_OPERATOR"] = (await system.NewOperatorAsync()).Email,
            ["LEDGER_OPERATOR_PASSWORD"] = LedgerApi.Password,
        };

        // The second run finds the house account of the first.
        for (var run = 0; run < 2; run++)
        {
            var (exitCode, output, errors) = await Repository.RunAsync(Script, [(await system.ApiAsync()).Address.ToString(), "--wait", "30"], environment);

            Assert.True(exitCode == 0, output + errors);
            Assert.All(output.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.StartsWith("ok ", line, StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Steps_of_service_accounts_and_operators_are_skipped_without_their_secrets()
    {
        var (exitCode, output, errors) = await Repository.RunAsync(Script, [(await system.ApiAsync()).Address.ToString()]);

        Assert.True(exitCode == 0, output + errors);
        Assert.Equal(2, output.Split('\n').Count(line => line.StartsWith("skip ", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task It_fails_and_names_the_step_when_no_system_answers()
    {
        // Port 9 (discard) is below the range of ephemeral ports, so no other test listens on it.
        var (exitCode, output, _) = await Repository.RunAsync(Script, ["http://127.0.0.1:9"]);

        Assert.Equal(1, exitCode);
        Assert.StartsWith("FAIL  health: 200 expected, got 000", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData]
    [InlineData("localhost")]
    [InlineData("http://localhost", "--wait", "long")]
    public async Task Wrong_arguments_print_the_usage(params string[] arguments)
    {
        var (exitCode, _, errors) = await Repository.RunAsync(Script, arguments);

        Assert.Equal(2, exitCode);
        Assert.Contains("BASE_URL", errors, StringComparison.Ordinal);
    }
}
