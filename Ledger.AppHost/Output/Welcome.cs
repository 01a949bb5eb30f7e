using System.Globalization;
using Ledger.AppHost.Servers;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.DependencyInjection;

namespace Ledger.AppHost.Output;

/// <summary>What a run prints: each step with its time, then the addresses and a session to try, then the logs by process.</summary>
internal static class Welcome
{
    /// <summary>Prints, unless the run is a test's.</summary>
    public static void AddWelcome(
        this IDistributedApplicationBuilder builder,
        IReadOnlyList<IResourceBuilder<ProjectResource>> apis,
        IReadOnlyList<IResourceBuilder<ProjectResource>> workers,
        IResourceBuilder<IResourceWithConnectionString> messaging,
        IResourceBuilder<IResourceWithConnectionString> database,
        IResourceBuilder<ProjectResource> migrations,
        DataDirectory? data,
        RunOptions options)
    {
        if (options.IsTest)
            return;
        Steps.Say($"starting PostgreSQL and RabbitMQ as {(data is null ? "containers" : "programs of this machine")}, {Count(apis.Count, "API")}, {Count(workers.Count, "worker")}"
            + (options.HasDashboard ? ", Aspire dashboard" : ""));
        builder.AlongsideTheRun((services, token) => new Steps(
            services.GetRequiredService<ResourceNotificationService>(),
            services.GetRequiredService<ResourceLoggerService>(),
            services.GetRequiredService<DistributedApplicationModel>(),
            [.. apis.Concat(workers).Select(service => service.Resource.Name), ResourceNames.Messaging, ResourceNames.Postgres, migrations.Resource.Name],
            token => TextAsync(builder, apis, workers, messaging, database, data, options, token)).RunAsync(token));
    }

    private static async Task<string> TextAsync(
        IDistributedApplicationBuilder builder,
        IReadOnlyList<IResourceBuilder<ProjectResource>> apis,
        IReadOnlyList<IResourceBuilder<ProjectResource>> workers,
        IResourceBuilder<IResourceWithConnectionString> messaging,
        IResourceBuilder<IResourceWithConnectionString> database,
        DataDirectory? data,
        RunOptions options,
        CancellationToken cancellationToken)
    {
        var lines = new List<string> { "" };
        if (apis.Count > 0)
        {
            lines.Add($"API         {string.Join("  ", apis.Select(api => Address(api, "http")))}");
            lines.Add($"OpenAPI     {Address(apis[0], "http")}/openapi/v1.json");
            lines.Add($"Scalar      {Address(apis[0], "http")}/scalar");
        }
        if (options.HasDashboard)
            lines.Add($"Dashboard   {builder.Configuration["ASPNETCORE_URLS"]}");
        if (apis.Concat(workers).ToList() is { Count: > 0 } services)
            lines.Add($"Metrics     {string.Join("  ", services.Select(service => $"{Address(service, Services.Metrics)}/metrics"))}");
        if (options.IsMonitored)
            lines.Add($"Prometheus  http://localhost:9090{(data is null ? "  Grafana  http://localhost:3000" : "")}");
        var broker = new Uri((await messaging.Resource.GetConnectionStringAsync(cancellationToken))!);
        lines.Add($"RabbitMQ    {Address((IResourceBuilder<IResourceWithEndpoints>)messaging, "management")}  login {string.Join(" / ", broker.UserInfo.Split(':'))}");
        lines.Add($"PostgreSQL  {await database.Resource.GetConnectionStringAsync(cancellationToken)}");
        lines.Add($"Data        {data?.Root ?? (options.IsEphemeral ? "in the containers, until they end" : "in the volumes ledger-postgres and ledger-messaging")}");
        if (apis.Count > 0)
        {
            lines.Add("");
            lines.Add("To try it, paste this into another bash:");
            lines.Add("");
            lines.Add(CurlSession(Address(apis[0], "http")));
        }
        lines.Add("");
        lines.Add("Ctrl+C stops everything.");
        lines.Add("");
        return string.Join('\n', lines);
    }

    // It can be repeated: the e-mail addresses are new each time. No jq, which bare machines do not have.
    private static string CurlSession(string address) =>
        $$"""
        api={{address}}/api/v1 json='Content-Type: application/json'
        alice=alice-$RANDOM$RANDOM@example.com bob=bob-$RANDOM$RANDOM@example.com password=Correct-horse-7
        for email in $alice $bob; do curl -sS $api/identity/register -H "$json" -d '{"email":"'$email'","password":"'$password'"}'; echo; done
        token=$(curl -sS $api/identity/login -H "$json" -d '{"email":"'$alice'","password":"'$password'"}' | sed 's/.*"accessToken":"\([^"]*\)".*/\1/')
        curl -sS $api/deposits -H "Authorization: Bearer $token" -H "$json" -d '{"currency":"USD","amount":"100.00"}'; echo
        curl -sS $api/transfers -H "Authorization: Bearer $token" -H "$json" -H "Idempotency-Key: first-$RANDOM" -d '{"to":"'$bob'","currency":"USD","amount":"25.50"}'; echo
        curl -sS $api/balances -H "Authorization: Bearer $token"; echo
        """;

    private static string Address(IResourceBuilder<IResourceWithEndpoints> resource, string endpoint) => resource.GetEndpoint(endpoint).Url;

    private static string Count(int number, string thing) => string.Create(CultureInfo.InvariantCulture, $"{number} {thing}{(number == 1 ? "" : "s")}");
}
