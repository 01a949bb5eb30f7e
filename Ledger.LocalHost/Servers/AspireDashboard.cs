using System.Globalization;
using Ledger.LocalHost.Processes;

namespace Ledger.LocalHost.Servers;

/// <summary>
/// The Aspire dashboard: traces, metrics and logs of API and worker, which send them by OTLP. The Aspire CLI has it inside;
/// it needs neither an AppHost nor a container engine.
/// </summary>
internal static class AspireDashboard
{
    private static readonly HttpClient s_http = new() { Timeout = TimeSpan.FromSeconds(5) };

    public static LocalProcess Create(DataDirectory data, int port, int otlpPort, LocalSystemOptions options)
    {
        var cli = Launcher.Find("aspire")
            ?? throw new LocalSystemException("needs the Aspire CLI for the dashboard: start with ./run.sh, which fetches it, or put 'aspire' into PATH.");
        var address = Loopback(port);
        return new LocalProcess(new ProcessDefinition("dashboard", new Command(cli,
            "dashboard", "run", "--non-interactive", "--nologo", "--allow-anonymous",
            "--frontend-url", Text(address), "--otlp-grpc-url", Text(Loopback(otlpPort)), "--otlp-http-url", Text(Loopback(Ports.Free())))
        {
            Environment = new Dictionary<string, string?>
            {
                [Leftovers.Mark] = data.Path,
                ["HOME"] = Directory.CreateDirectory(data.In("dashboard")).FullName, // It keeps keys and logs below it.
                ["ASPIRE_CLI_TELEMETRY_OPTOUT"] = "true",
                ["NO_COLOR"] = "1",
                ["OTEL_EXPORTER_OTLP_ENDPOINT"] = null,
            },
        })
        {
            Address = address,
            IsHealthy = async token =>
            {
                using var answer = await s_http.GetAsync(new Uri(address, "/health"), token);
                return answer.IsSuccessStatusCode;
            },
            // Its banner; what it logs is below its home.
            IsWorthPrinting = _ => false,
            StartTimeout = options.StartTimeout,
        }, options.Log);
    }

    /// <summary>Makes a service send what it has to tell to the dashboard, under its own name.</summary>
    public static void AddExport(IDictionary<string, string?> environment, int otlpPort, string service, string instance)
    {
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = Text(Loopback(otlpPort));
        environment["OTEL_EXPORTER_OTLP_PROTOCOL"] = "grpc";
        environment["OTEL_SERVICE_NAME"] = service;
        environment["OTEL_RESOURCE_ATTRIBUTES"] = $"service.instance.id={instance}";
        // To be looked at while it happens.
        environment["OTEL_METRIC_EXPORT_INTERVAL"] = "5000";
        environment["OTEL_BSP_SCHEDULE_DELAY"] = "1000";
        environment["OTEL_BLRP_SCHEDULE_DELAY"] = "1000";
    }

    private static Uri Loopback(int port) => new(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}"));

    private static string Text(Uri address) => address.GetLeftPart(UriPartial.Authority);
}
