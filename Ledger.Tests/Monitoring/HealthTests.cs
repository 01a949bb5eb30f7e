using Ledger.Tests.Harness;

namespace Ledger.Tests.Monitoring;

public sealed class HealthTests(LedgerSystem system)
{
    [Theory]
    [InlineData("/health", true)]
    [InlineData("/ready", true)]
    [InlineData("/alive", false)]
    [InlineData("/live", false)]
    public async Task Healthy_process_reports_its_status_and_dependencies(string path, bool isReadiness)
    {
        foreach (var api in await system.ApisAsync())
        {
            var answer = (await api.GetAsync(path)).MustBe(200);
            Assert.Equal("Healthy", answer["status"]);
            string[] expected = isReadiness ? ["postgres", "rabbitmq"] : [];
            Assert.Equal(expected, answer.Json.GetProperty("checks").EnumerateObject().Select(check => check.Name).Order());
        }
    }
}
