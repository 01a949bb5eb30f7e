using System.Diagnostics;
using System.Text.Json;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;
using RabbitMQ.Client;

namespace Ledger.Tests.Monitoring;

/// <summary>The traces that API and worker export.</summary>
public sealed class TraceTests(LedgerSystem system)
{
    [Fact]
    public async Task Commands_are_traced_and_probes_and_scrapes_are_not()
    {
        await using var fromApi = await OtlpReceiver.StartAsync();
        await using var fromWorker = await OtlpReceiver.StartAsync();
        var api = await system.StartApiProcessAsync(fromApi.Environment);
        var worker = await system.StartWorkerProcessAsync(fromWorker.Environment);
        using var client = new LedgerApi(api.Address!);
        var user = (await system.NewUserAsync()).At(client);
        var (probes, commands) = (ActivityTraceId.CreateRandom().ToString(), ActivityTraceId.CreateRandom().ToString());

        foreach (var process in (LedgerProcess[])[api, worker])
        {
            foreach (var address in ((string[])["/health", "/ready", "/alive", "/live"]).Select(path => new Uri(process.Address!, path)).Append(process.Metrics!))
            {
                await GetAsync(address, null);
                // Nor do they appear in the trace of a caller.
                await GetAsync(address, probes);
            }
        }
        // Repeated, because another worker can take the command. Spans are exported in the order of their ends.
        await Eventually.TrueAsync(
            async () =>
            {
                (await client.PostAsync("deposits", new { currency = "USD", amount = "1.00" }, user.Token, ("traceparent", Parent(commands)))).MustBe(201);
                return Has(fromApi, commands) && Has(fromWorker, commands);
            },
            otherwise: () => $"The API's spans: {string.Join(", ", fromApi.Spans)}; the worker's: {string.Join(", ", fromWorker.Spans)}.");
        await worker.TerminateAsync(restart: false);
        await api.TerminateAsync(restart: false);

        Assert.Contains(fromApi.Spans, span => span is { Source: "Microsoft.AspNetCore", Name: "POST /api/v1/deposits" });
        // They received no other requests.
        Assert.All(fromApi.Spans.Where(span => span.Source == "Microsoft.AspNetCore"), span => Assert.Equal(commands, span.TraceId));
        Assert.DoesNotContain(fromWorker.Spans, span => span.Source == "Microsoft.AspNetCore");
        Assert.False(Has(fromApi, probes) || Has(fromWorker, probes));
    }

    [Fact]
    public async Task A_command_that_is_recorded_during_an_outage_of_RabbitMQ_is_decided_in_the_trace_of_its_request()
    {
        // Deleting the user of this API is an outage of RabbitMQ for this API only.
        var name = $"api-{Guid.NewGuid():N}";
        await system.ControlRabbitMqAsync("add_user", name, name);
        await system.ControlRabbitMqAsync("set_permissions", name, ".*", ".*", ".*");
        var broker = new UriBuilder(await system.BrokerAsync()) { UserName = name, Password = name }.Uri;
        await using var fromApi = await OtlpReceiver.StartAsync();
        await using var fromWorker = await OtlpReceiver.StartAsync();
        var api = await system.StartApiProcessAsync([.. fromApi.Environment, ("ConnectionStrings__messaging", broker.AbsoluteUri)]);
        var worker = await system.StartWorkerProcessAsync(fromWorker.Environment);
        try
        {
            using var client = new LedgerApi(api.Address!);
            var user = (await system.NewUserAsync()).At(client);
            await system.ControlRabbitMqAsync("delete_user", name);
            await system.ControlRabbitMqAsync("close_all_user_connections", name, "it is gone");
            await Eventually.TrueAsync(async () => !await api.IsHealthyAsync());
            var trace = ActivityTraceId.CreateRandom().ToString();

            // Repeated, because another worker can take the command.
            await Eventually.TrueAsync(
                async () =>
                {
                    var answer = await client.PostAsync("deposits", new { currency = "USD", amount = "1.00" }, user.Token, ("traceparent", Parent(trace)));
                    // 201 if the relay and a worker are faster than the answer.
                    Assert.True(answer.Status is 201 or 202, answer.Text);
                    return fromWorker.Spans.Any(span => span is { Source: "Ledger", Name: "process deposit" } && span.TraceId == trace);
                },
                otherwise: () => $"The worker's spans: {string.Join(", ", fromWorker.Spans)}.");
            Assert.True(Has(fromApi, trace));
            Assert.DoesNotContain(fromApi.Spans, span => span.Name == "send ledger.commands");
        }
        finally
        {
            await worker.TerminateAsync(restart: false);
            await api.TerminateAsync(restart: false);
        }
    }

    [Fact]
    public async Task Commands_that_are_posted_one_by_one_are_in_the_traces_of_their_requests()
    {
        // A separate virtual host, so that no other worker consumes the queue.
        var host = $"of-a-test-{Guid.NewGuid():N}";
        var broker = new UriBuilder(await system.BrokerAsync()) { Path = host }.Uri;
        await system.ControlRabbitMqAsync("add_vhost", host);
        await system.ControlRabbitMqAsync("set_permissions", "-p", host, Uri.UnescapeDataString(broker.UserInfo.Split(':')[0]), ".*", ".*", ".*");
        await using var fromWorker = await OtlpReceiver.StartAsync();
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 1);
        string[] traces = [ActivityTraceId.CreateRandom().ToString(), ActivityTraceId.CreateRandom().ToString()];
        Command[] commands = [.. traces.Select(trace => market.Deposit(market.Users[0], 100) with { TraceParent = Parent(trace) })];
        await using (var connection = await new ConnectionFactory { Uri = broker }.CreateConnectionAsync())
        await using (var channel = await connection.CreateChannelAsync(
            new CreateChannelOptions(publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true)))
        {
            await Topology.DeclareAsync(channel, TestContext.Current.CancellationToken);
            await channel.BasicPublishAsync(
                "", Topology.CommandQueue, mandatory: true, JsonSerializer.SerializeToUtf8Bytes(new Envelope(commands), MessageJson.Default.Envelope));
            await channel.BasicRejectAsync((await channel.BasicGetAsync(Topology.CommandQueue, autoAck: false))!.DeliveryTag, requeue: true);
        }

        var worker = await system.StartWorkerProcessAsync(
            [.. fromWorker.Environment, ("ConnectionStrings__messaging", broker.AbsoluteUri), ("Ledger__Worker__IsolateAtDelivery", "2")]);
        await Eventually.TrueAsync(async () => await market.BalanceAsync(market.Users[0]) == 200);
        await worker.TerminateAsync(restart: false);
        await system.ControlRabbitMqAsync("delete_vhost", host);

        Assert.Contains(worker.Tail(2000), line => line.Contains("its commands are posted one by one", StringComparison.Ordinal));
        Assert.All(traces, trace => Assert.Single(fromWorker.Spans, span => span.TraceId == trace && span.Name == "process deposit"));
        // Shared steps belong to the trace of the first command.
        Assert.All(
            (string[])["post one by one", "send ledger.events"],
            step => Assert.Equal(traces[0], Assert.Single(fromWorker.Spans, span => span.Source == "Ledger" && span.Name == step).TraceId));
    }

    private static bool Has(OtlpReceiver receiver, string trace) => receiver.Spans.Any(span => span.TraceId == trace);

    private static string Parent(string trace) => $"00-{trace}-{ActivitySpanId.CreateRandom()}-01";

    private static async Task GetAsync(Uri address, string? trace)
    {
        using var http = new HttpClient();
        using var request = new HttpRequestMessage(HttpMethod.Get, address);
        if (trace is not null)
            request.Headers.Add("traceparent", Parent(trace));
        using var answer = await http.SendAsync(request, TestContext.Current.CancellationToken);
        Assert.True(answer.IsSuccessStatusCode, $"{address} answered {(int)answer.StatusCode}.");
    }
}
