using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary>What Compose and Kubernetes are tried with after each deployment, tried itself.</summary>
public sealed class SmokeTests(LedgerSystem system)
{
    private static readonly string Script = Repository.PathOf("scripts/smoke.sh");

    [Fact]
    public async Task Every_step_passes_against_a_system_that_runs()
    {
        var api = await system.ApiAsync();

        var (exitCode, output, errors) = await Repository.RunAsync(Script, [api.Address.ToString(), "--wait", "30"]);

        Assert.True(exitCode == 0, output + errors);
        Assert.All(output.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.StartsWith("ok ", line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task It_fails_and_says_at_which_step_where_nobody_answers()
    {
        // Port 9 (discard) is never given to a process that asks for any free one.
        var (exitCode, output, _) = await Repository.RunAsync(Script, ["http://127.0.0.1:9"]);

        Assert.Equal(1, exitCode);
        Assert.StartsWith("FAIL  health: 200 expected, got 000", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData]
    [InlineData("localhost")]
    [InlineData("http://localhost", "--wait", "long")]
    public async Task It_says_how_it_is_called(params string[] arguments)
    {
        var (exitCode, _, errors) = await Repository.RunAsync(Script, arguments);

        Assert.Equal(2, exitCode);
        Assert.Contains("BASE_URL", errors, StringComparison.Ordinal);
    }
}
