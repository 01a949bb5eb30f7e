using Ledger.Tests.Harness;

namespace Ledger.Tests.Scripts;

/// <summary><c>scripts/smoke.sh</c>, the check after a deployment.</summary>
public sealed class SmokeTests(LedgerSystem system)
{
    private static readonly string Script = Repository.PathOf("scripts/smoke.sh");

    [Fact]
    public async Task Every_step_passes_against_a_running_system()
    {
        var api = await system.ApiAsync();

        var (exitCode, output, errors) = await Repository.RunAsync(Script, [api.Address.ToString(), "--wait", "30"]);

        Assert.True(exitCode == 0, output + errors);
        Assert.All(output.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.StartsWith("ok ", line, StringComparison.Ordinal));
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
