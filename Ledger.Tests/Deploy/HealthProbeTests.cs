using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary>What a container without shell and curl is asked for its health with.</summary>
public sealed class HealthProbeTests(LedgerSystem system)
{
    // Above all no connection strings: to ask needs none.
    private static readonly Dictionary<string, string?> s_nothing = [];

    [Fact]
    public async Task It_ends_with_0_where_the_service_is_ready()
    {
        var api = await system.ApiAsync();

        var (exitCode, output, _) = await Tool.RunAsync("Ledger.Api", ["health", new Uri(api.Address, "/health").ToString()], s_nothing);

        Assert.Equal(0, exitCode);
        Assert.Contains("Healthy", Assert.Single(output), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Ledger.Api", "http://127.0.0.1:9/health")]
    [InlineData("Ledger.Worker", "http://127.0.0.1:9/health")]
    [InlineData("Ledger.Worker", "nonsense")]
    [InlineData("Ledger.Api", "localhost:8080/health")]
    public async Task It_ends_with_1_and_one_line_where_nobody_answers(string service, string address)
    {
        var (exitCode, output, _) = await Tool.RunAsync(service, ["health", address], s_nothing);

        Assert.Equal(1, exitCode);
        Assert.Single(output);
    }
}
