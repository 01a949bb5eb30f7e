using System.Net;
using System.Net.Sockets;
using Ledger.ServiceDefaults;
using Ledger.Tests.Harness;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace Ledger.Tests.Configuration;

/// <summary>The end of a service that cannot start.</summary>
public sealed class StartTests
{
    [Theory]
    [InlineData("Ledger.Worker", "Ledger__Worker__Prefetch", "0", "Prefetch")]
    [InlineData("Ledger.Worker", "Ledger__Worker__MaxBatch", "many", "MaxBatch")]
    [InlineData("Ledger.Worker", "Ledger__Worker__Prefetsch", "10", "Prefetsch")]
    [InlineData("Ledger.Worker", "Ledger__Audit__SignInDays", "89", "SignInDays")]
    [InlineData("Ledger.Worker", "ConnectionStrings__ledgerdb", null, "ConnectionStrings__ledgerdb")]
    [InlineData("Ledger.Worker", "ConnectionStrings__messaging", null, "ConnectionStrings__messaging")]
    [InlineData("Ledger.Api", "Ledger__Gateway__MaxEnvelope", "0", "MaxEnvelope")]
    [InlineData("Ledger.Api", "Ledger__Http__MaxBodyBytes", "64k", "MaxBodyBytes")]
    [InlineData("Ledger.Api", "Ledger__Identity__PasswordIterations", "1", "PasswordIterations")]
    [InlineData("Ledger.Api", "Ledger__Identity__PaswordIterations", "210000", "PaswordIterations")]
    [InlineData("Ledger.Api", "Ledger__RateLimits__Enabled", "false", "Ledger__RateLimits")]
    // Also the only option of the provider that is given.
    [InlineData("Ledger.Api", "Ledger__Oidc__Audience", "ledger", "Ledger__Oidc__Authority")]
    [InlineData("Ledger.Api", "Ledger__Oidc__CreateUsers", "true", "Ledger__Oidc__Authority")]
    [InlineData("Ledger.Api", "Ledger__Oidc__CreateUsers", "perhaps", "CreateUsers")]
    [InlineData("Ledger.Api", "Ledger__Oidc__Authority", "login.example.com", "Ledger__Oidc__Authority")]
    [InlineData("Ledger.Api", "Ledger__Oidc__Authority", "http://login.example.com", "Ledger__Oidc__Authority")]
    // Not even this machine, outside Development.
    [InlineData("Ledger.Api", "Ledger__Oidc__Authority", "http://127.0.0.1:1", "Ledger__Oidc__Authority")]
    [InlineData("Ledger.Api", "Ledger__Oidc__Authority", "https://login.example.com", "Ledger__Oidc__Audience")]
    [InlineData("Ledger.Api", "Ledger__Oidc__Autority", "https://login.example.com", "Autority")]
    [InlineData("Ledger.Worker", "Ledger__SelfServiceDeposit", "false", "Ledger__SelfServiceDeposit")]
    [InlineData("Ledger.Api", "ConnectionStrings__ledgerdb", "", "ConnectionStrings__ledgerdb")]
    [InlineData("Ledger.Api", "ConnectionStrings__messaging", null, "ConnectionStrings__messaging")]
    // Malformed connection strings and addresses.
    [InlineData("Ledger.Worker", "ConnectionStrings__ledgerdb", "postgres", "ConnectionStrings__ledgerdb")]
    [InlineData("Ledger.Worker", "ConnectionStrings__ledgerdb", "Host=127.0.0.1;Prot=1", "ConnectionStrings__ledgerdb")]
    [InlineData("Ledger.Api", "ConnectionStrings__ledgerdb", "Host=127.0.0.1;Port=many", "ConnectionStrings__ledgerdb")]
    [InlineData("Ledger.Api", "ConnectionStrings__ledgerdb", "Database=d", "ConnectionStrings__ledgerdb")]
    [InlineData("Ledger.Worker", "ConnectionStrings__messaging", "nonsense", "ConnectionStrings__messaging")]
    [InlineData("Ledger.Worker", "ConnectionStrings__messaging", "127.0.0.1:5672", "ConnectionStrings__messaging")]
    [InlineData("Ledger.Api", "ConnectionStrings__messaging", "http://127.0.0.1:1", "ConnectionStrings__messaging")]
    [InlineData("Ledger.Worker", "OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense", "OTEL_EXPORTER_OTLP_ENDPOINT")]
    [InlineData("Ledger.Api", "OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317", "OTEL_EXPORTER_OTLP_ENDPOINT")]
    [InlineData("Ledger.Worker", "ASPNETCORE_URLS", "nonsense", "ASPNETCORE_URLS")]
    [InlineData("Ledger.Worker", "ASPNETCORE_URLS", "http://127.0.0.1:abc", "ASPNETCORE_URLS")]
    [InlineData("Ledger.Api", "ASPNETCORE_URLS", "http://127.0.0.1:0;http://127.0.0.1:70000", "ASPNETCORE_URLS")]
    [InlineData("Ledger.Worker", "ASPNETCORE_HTTP_PORTS", "abc", "ASPNETCORE_HTTP_PORTS")]
    [InlineData("Ledger.Api", "ASPNETCORE_HTTP_PORTS", "8080;70000", "ASPNETCORE_HTTP_PORTS")]
    [InlineData("Ledger.Api", "HTTP_PORTS", "-1", " HTTP_PORTS")]
    // The services have no certificate.
    [InlineData("Ledger.Api", "ASPNETCORE_URLS", "http://127.0.0.1:0;https://127.0.0.1:0", "ASPNETCORE_URLS")]
    [InlineData("Ledger.Worker", "ASPNETCORE_HTTPS_PORTS", "8443", "ASPNETCORE_HTTPS_PORTS")]
    [InlineData("Ledger.Api", "HTTPS_PORTS", "8443", " HTTPS_PORTS")]
    public async Task A_bad_option_ends_the_process_with_exit_code_1_and_one_line_that_names_it(string service, string option, string? value, string named)
    {
        var (exitCode, _, errors) = await RunAsync(service, option, value);

        Assert.Equal(1, exitCode);
        Assert.Contains(named, Assert.Single(errors), StringComparison.Ordinal);
    }

    /// <summary>A driver reads a password's part after a semicolon as a setting, and would quote it in its message.</summary>
    [Theory]
    [InlineData("ConnectionStrings__ledgerdb", "Host=127.0.0.1;Username=u;Password=hush;secret=1")]
    [InlineData("ConnectionStrings__messaging", "amqp//u:secret@127.0.0.1")]
    public async Task The_secrets_of_a_malformed_connection_string_are_not_printed(string option, string value)
    {
        var (exitCode, output, errors) = await RunAsync("Ledger.Worker", option, value);

        Assert.Equal(1, exitCode);
        Assert.DoesNotContain(output.Concat(errors), line => line.Contains("secret", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("Ledger.Api")]
    [InlineData("Ledger.Worker")]
    public async Task An_address_in_use_ends_the_process_with_exit_code_1_and_one_line_that_names_it(string service)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var address = $"http://{listener.LocalEndpoint}";

        var (exitCode, _, errors) = await RunAsync(service, "ASPNETCORE_URLS", address);

        Assert.Equal(1, exitCode);
        Assert.Contains(address, Assert.Single(errors), StringComparison.Ordinal);
    }

    [Fact]
    public void The_list_of_sections_names_the_section_of_every_option() => Assert.Equal(
        ServiceOptions.Defaults.Keys.Select(option => option.Split("__")[1]).Distinct().Order(StringComparer.Ordinal),
        LedgerOptions.Sections.Order(StringComparer.Ordinal));

    [Fact]
    public void A_service_accepts_the_sections_of_the_other_services_and_refuses_unknown_ones()
    {
        Setup([.. LedgerOptions.Sections]).AddServiceDefaults();

        var refusal = Assert.Throws<ConfigurationException>(() => Setup("Gateways").AddServiceDefaults());
        Assert.Contains("Ledger__Gateways", refusal.Message, StringComparison.Ordinal);

        static WebApplicationBuilder Setup(params string[] sections)
        {
            var builder = WebApplication.CreateSlimBuilder();
            builder.Configuration.AddInMemoryCollection(sections.Select(section => KeyValuePair.Create($"Ledger:{section}:Unread", (string?)"1")));
            return builder;
        }
    }

    /// <summary>A pod that is replaced before it is ready receives SIGTERM during its start.</summary>
    [Fact]
    public async Task A_service_that_is_stopped_while_it_starts_ends_with_exit_code_0() => Assert.Equal(0, await Service.RunAsync([], () =>
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Services.AddHostedService<StopsTheHost>();
        return builder.Build();
    }));

    private static Task<(int ExitCode, string[] Output, string[] Errors)> RunAsync(string service, string option, string? value) =>
        Tool.RunAsync(service, [], new Dictionary<string, string?>
        {
            // Nothing listens there, so a service with good options would start and keep reconnecting.
            ["ConnectionStrings__ledgerdb"] = "Host=127.0.0.1;Port=1;Username=u;Password=p;Database=d",
            ["ConnectionStrings__messaging"] = "amqp://127.0.0.1:1",
            ["ASPNETCORE_URLS"] = "http://127.0.0.1:0",
            ["Ledger__Metrics__Port"] = "0",
            [option] = value,
        });

    private sealed class StopsTheHost(IHostApplicationLifetime lifetime) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken)
        {
            lifetime.StopApplication();
            return Task.Delay(Timeout.Infinite, cancellationToken);
        }

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
