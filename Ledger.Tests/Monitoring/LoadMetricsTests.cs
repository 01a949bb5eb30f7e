using System.Globalization;
using System.Net.Sockets;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Monitoring;

/// <summary>The metrics that <c>ledger load</c> serves during a run.</summary>
public sealed class LoadMetricsTests(LedgerSystem system)
{
    [Fact]
    public async Task A_load_serves_every_series_of_its_dashboard_and_counts_its_requests()
    {
        var api = await system.ApiAsync();
        var port = FreePort();
        var metrics = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/metrics"));
        var load = Tool.RunAsync(
            "ledger", ["load", "--url", api.Address.ToString(), "--rate", "100", "--duration", "6s", "--metrics-port", $"{port}"], new Dictionary<string, string?>());

        Scrape? last = null;
        await Eventually.TrueAsync(
            async () =>
            {
                if (load.IsCompleted)
                    Assert.Fail($"The load ended first.\n{string.Join('\n', (await load).Output)}\n{string.Join('\n', (await load).Errors)}");
                try
                {
                    last = await Scrape.OfAsync(metrics);
                }
                catch (HttpRequestException)
                {
                    // The load does not serve metrics yet.
                }
                return last?["ledger_load_starts_planned_total"] >= 200 && last["""ledger_load_requests_total{operation="deposit",outcome="201"}"""] > 0;
            },
            otherwise: () => "The load counts too few requests.");
        await last!.MustPassPromtoolAsync();
        var (exitCode, output, _) = await load;

        var used = Query.OfDashboard("ledger-load.json");
        Assert.All(used, query => Assert.All(query.Series, series => Assert.True(last.LabelsBySeries.Contains(series), $"No {series} for {query}")));
        Assert.All(used, query => Assert.All(query.Labels, label => Assert.True(query.Series.Any(series => last.LabelsBySeries[series].Contains(label)), $"No label {label} for {query}")));
        Assert.InRange(last["ledger_load_starts_total"]!.Value, 100, 600);
        Assert.InRange(last["""ledger_load_request_duration_seconds_count{operation="deposit"}"""]!.Value, 1, 600);
        Assert.Equal(0, last["ledger_load_discrepancies_total"]);
        // Missed starts (exit code 1) depend on the load of the machine, not on the ledger.
        Assert.True(exitCode == 0 || output.Any(line => line.Contains(" 0 discrepancies", StringComparison.Ordinal)), string.Join('\n', output));
    }

    [Fact]
    public async Task A_port_in_use_ends_a_load_with_one_line()
    {
        using var listener = new TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        var port = ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;

        var (exitCode, output, errors) = await Tool.RunAsync("ledger", ["load", "--url", "http://127.0.0.1:1", "--metrics-port", $"{port}"], new Dictionary<string, string?>());

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Contains($"{port}", Assert.Single(errors), StringComparison.Ordinal);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }
}
