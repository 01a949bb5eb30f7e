using System.Diagnostics;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using Ledger.ServiceDefaults;

namespace Ledger.Tests.AppHost;

/// <summary>What the AppHost publishes for deployment tools, against the approved copy beside these tests.</summary>
public sealed class ManifestTests
{
    private const string Password = "this-must-not-be-published";
    private static readonly TimeSpan PublishTimeout = TimeSpan.FromMinutes(2);
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true };

    /// <summary>
    /// A difference is approved by replacing <c>aspire-manifest.json</c> with <c>aspire-manifest.received.json</c>, which this leaves beside it.
    /// </summary>
    [Fact]
    public async Task The_published_manifest_is_the_approved_one()
    {
        // In the approved copy's folder, because paths in a manifest are relative to it.
        var folder = Path.GetFullPath(Path.Combine(Projects.Ledger_AppHost.ProjectPath, "..", "Ledger.Tests", "Approved"));
        var approved = Path.Combine(folder, "aspire-manifest.json");
        var received = Path.Combine(folder, "aspire-manifest.received.json");

        await PublishAsync(received);

        var manifest = await File.ReadAllTextAsync(received, TestContext.Current.CancellationToken);
        Assert.DoesNotContain(Password, manifest, StringComparison.Ordinal);
        Assert.Equal(
            Canonical(await File.ReadAllTextAsync(approved, TestContext.Current.CancellationToken)),
            Canonical(manifest));
        File.Delete(received);
    }

    private static async Task PublishAsync(string path)
    {
        var configuration = typeof(ManifestTests).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration;
        var start = new ProcessStartInfo("dotnet") { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (var argument in (string[])
            [
                "run", "--no-build", "--no-launch-profile", "--configuration", configuration, "--project", Projects.Ledger_AppHost.ProjectPath,
                "--", "--publisher", "manifest", "--output-path", path,
                $"Parameters:{ResourceNames.PostgresPassword}={Password}",
                $"Parameters:{ResourceNames.MessagingPassword}={Password}",
            ])
            start.ArgumentList.Add(argument);

        using var process = Process.Start(start)!;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        deadline.CancelAfter(PublishTimeout);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(deadline.Token);
            var errors = process.StandardError.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            Assert.True(process.ExitCode == 0, $"The AppHost ended with {process.ExitCode}.\n{await output}\n{await errors}");
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }

    /// <summary>The same document with its properties in alphabetical order, which mean nothing in a manifest.</summary>
    private static string Canonical(string json)
    {
        return Sorted(JsonNode.Parse(json))!.ToJsonString(Indented);

        static JsonNode? Sorted(JsonNode? node) => node switch
        {
            JsonObject properties => new JsonObject(properties
                .OrderBy(property => property.Key, StringComparer.Ordinal)
                .Select(property => KeyValuePair.Create(property.Key, Sorted(property.Value)))),
            JsonArray items => new JsonArray([.. items.Select(Sorted)]),
            _ => node?.DeepClone(),
        };
    }
}
