using Ledger.Tests.Harness;

namespace Ledger.Tests.Deploy;

/// <summary>The services' command <c>health</c>: the health check of images without a shell and curl.</summary>
public sealed class HealthProbeTests(LedgerSystem system)
{
    // The command needs no connection strings.
    private static readonly Dictionary<string, string?> s_noEnvironment = [];

    [Fact]
    public async Task It_exits_with_0_when_the_service_is_ready()
    {
        var api = await system.ApiAsync();

        var (exitCode, output, _) = await Tool.RunAsync("Ledger.Api", ["health", new Uri(api.Address, "/health").ToString()], s_noEnvironment);

        Assert.Equal(0, exitCode);
        Assert.Contains("Healthy", Assert.Single(output), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Ledger.Api", "http://127.0.0.1:9/health")]
    [InlineData("Ledger.Worker", "http://127.0.0.1:9/health")]
    [InlineData("Ledger.Worker", "nonsense")]
    [InlineData("Ledger.Api", "localhost:8080/health")]
    public async Task It_exits_with_1_and_prints_one_line_when_no_service_answers(string service, string address)
    {
        var (exitCode, output, _) = await Tool.RunAsync(service, ["health", address], s_noEnvironment);

        Assert.Equal(1, exitCode);
        Assert.Single(output);
    }
}
