using Ledger.Tests.Harness;

namespace Ledger.Tests.Monitoring;

/// <summary>The series and labels of the dashboard and the rules, compared with the metrics of the services.</summary>
public sealed class MetricsTests(LedgerSystem system)
{
    // Series that neither API nor worker exports, each with its source.
    private static readonly Dictionary<string, string> s_othersSeries = new()
    {
        ["up"] = "Prometheus: whether a target could be scraped",
        ["rabbitmq_global_messages_received_total"] = "RabbitMQ's plugin rabbitmq_prometheus",
        ["rabbitmq_global_messages_acknowledged_total"] = "RabbitMQ's plugin rabbitmq_prometheus",
        ["rabbitmq_queue_messages_unacked"] = "RabbitMQ's plugin rabbitmq_prometheus",
    };

    [Fact]
    public async Task Every_series_and_label_of_dashboard_and_rules_is_exported_under_load()
    {
        Query[] queries = [.. Query.OfDashboard("ledger.json"), .. Query.OfRules()];
        await MakeLoadAsync();

        var seen = new HashSet<(string Series, string Label)>();
        string[] missing = [];
        await Eventually.TrueAsync(
            async () =>
            {
                // Only one worker verifies, and the verifier's gauges start with its first run.
                foreach (var metrics in await system.MetricsAsync())
                {
                    foreach (var series in (await Scrape.OfAsync(metrics)).LabelsBySeries)
                        seen.UnionWith(series.Select(label => (series.Key, label)));
                }
                missing = [.. queries.SelectMany(query => MissingIn(query, seen))];
                return missing.Length == 0;
            },
            otherwise: () => string.Join('\n', missing));

        Assert.Equal(s_othersSeries.Keys.Order(), queries.SelectMany(query => query.Series).Where(s_othersSeries.ContainsKey).Distinct().Order());
    }

    [Fact]
    public async Task Counters_are_exported_from_zero_on()
    {
        string[] kinds = ["deposit", "withdrawal", "transfer", "journal", "exchange", "reversal"];
        // Both APIs, because the other tests have used only one of them.
        foreach (var metrics in await system.MetricsAsync())
        {
            var scrape = await Scrape.OfAsync(metrics);
            string[] expected = scrape.LabelsBySeries.Contains("ledger_commands_posted_total")
                ?
                [
                    "ledger_dead_letters_total", "ledger_commands_replayed_total", "ledger_events_published_total", "ledger_events_refused_total",
                    .. kinds.Select(kind => $$"""ledger_commands_posted_total{kind="{{kind}}"}"""), .. kinds.Select(kind => $$"""ledger_commands_failed_total{kind="{{kind}}"}"""),
                ]
                :
                [
                    "auth_registrations_total",
                    """auth_logins_total{status="succeeded"}""", """auth_logins_total{status="failed"}""",
                    """auth_logins_total{status="locked_out"}""", """auth_logins_total{status="frozen"}""",
                    .. kinds.Select(kind => $$"""ledger_commands_accepted_total{kind="{{kind}}"}"""),
                    """ledger_rate_limited_total{policy="user"}""", """ledger_rate_limited_total{policy="service"}""", """ledger_rate_limited_total{policy="address"}""",
                ];
            Assert.All(expected, sample => Assert.True(scrape[sample] is not null, $"{metrics} has no {sample}."));
        }
    }

    [Fact]
    public async Task The_metrics_pass_promtool()
    {
        await MakeLoadAsync();
        foreach (var metrics in await system.MetricsAsync())
            await (await Scrape.OfAsync(metrics)).MustPassPromtoolAsync();
    }

    /// <summary>Sends requests that increase every counter that clients can increase.</summary>
    private async Task MakeLoadAsync()
    {
        foreach (var api in await system.ApisAsync())
        {
            var (alice, bob) = (await api.NewUserAsync(), await api.NewUserAsync());
            (await api.PostAsync("identity/login", new { email = alice.Email, password = "wrong password" })).MustBe(401);
            (await alice.DepositAsync("10.00", key: "once")).MustBe(201);
            Assert.True((await alice.DepositAsync("10.00", key: "once")).MustBe(201).IsReplay);
            (await alice.TransferAsync(bob, "2.50")).MustBe(201);
            (await bob.WithdrawAsync("1.00")).MustBe(201);
            (await bob.WithdrawAsync("5.00")).MustBe(422, "insufficient_funds");
            // The answer is 201 instead of 202 if the command was decided first.
            await alice.DecidedAsync((await alice.DepositAsync("1.00", prefer: "respond-async")).TransactionId);
        }
    }

    private static IEnumerable<string> MissingIn(Query query, HashSet<(string Series, string Label)> seen)
    {
        var own = query.Series.Where(series => !Query.Recorded.Contains(series) && !s_othersSeries.ContainsKey(series)).ToList();
        foreach (var series in own.Where(series => !seen.Any(pair => pair.Series == series)))
            yield return $"No {series} for {query}";
        foreach (var label in query.Labels.Where(label => own.Count > 0 && !own.Any(series => seen.Contains((series, label)))))
            yield return $"No label {label} for {query}";
    }
}
