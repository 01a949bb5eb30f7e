using System.Reflection;
using Ledger.Tests.Harness;

namespace Ledger.Tests.AppHost;

/// <summary>How the AppHost refuses what it cannot start with. Nothing is started.</summary>
public sealed class CommandLineTests
{
    // Not the copy beside the tests, which lacks what Aspire's SDK adds.
    private static readonly string s_appHost = Repository.PathOf(
        $"Ledger.AppHost/bin/{typeof(CommandLineTests).Assembly.GetCustomAttribute<AssemblyConfigurationAttribute>()!.Configuration}/net10.0/Ledger.AppHost");

    private static readonly string[] s_native = ["--servers", "native", "--no-dashboard", "--port", "0", "--postgres-port", "0", "--rabbitmq-port", "0", "--management-port", "0"];

    [Theory]
    [InlineData("--apis", "abc")]
    [InlineData("--apis", "65")]
    [InlineData("--workers", "-1")]
    [InlineData("--port", "http")]
    [InlineData("--port", "65001")]
    [InlineData("--dashboard-port", "1.5")]
    [InlineData("--servers", "nonsense")]
    [InlineData("--data", "")]
    [InlineData("--nonsense", "1")]
    public async Task A_bad_value_ends_it_with_exit_code_1_and_one_line_that_names_the_option(string option, string value) =>
        await MustEndAsync(option, option, value);

    [Theory]
    [InlineData("/dev/null/data")]
    [InlineData("{a file}")]
    public async Task A_data_directory_that_cannot_be_written_ends_it_with_one_line_that_names_the_option(string path)
    {
        var file = Path.GetTempFileName();
        try
        {
            await MustEndAsync("--data", [.. s_native, "--data", path.Replace("{a file}", file, StringComparison.Ordinal)]);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public Task A_data_directory_and_fresh_data_exclude_each_other() => MustEndAsync("--ephemeral", "--data", "/tmp/ledger", "--ephemeral");

    [Fact]
    public async Task A_port_in_use_ends_it_with_one_line_that_names_the_option()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        var port = ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;

        await MustEndAsync("--postgres-port", [.. s_native.Take(5), "--ephemeral", "--postgres-port", $"{port}", "--rabbitmq-port", "0", "--management-port", "0"]);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"PostgresPassword\":\"a")]
    [InlineData("null")]
    [InlineData("{\"PostgresPassword\":\"a\"}")]
    public async Task Damaged_passwords_end_it_with_one_line_that_names_their_file_and_are_not_overwritten(string text)
    {
        // Not a directory for its owner alone: PostgreSQL's account must pass through.
        var data = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"ledger-damaged-{Guid.NewGuid():N}")).FullName;
        try
        {
            var file = Path.Combine(data, "secrets.json");
            await File.WriteAllTextAsync(file, text, TestContext.Current.CancellationToken);

            var error = await MustEndAsync(file, [.. s_native, "--data", data]);

            Assert.Contains("--data", error, StringComparison.Ordinal);
            Assert.Equal(text, await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }

    [Fact]
    public async Task The_help_lists_every_option()
    {
        var (exitCode, output, _) = await Tool.RunAsync(s_appHost, ["--help"], new Dictionary<string, string?>());

        Assert.Equal(0, exitCode);
        Assert.All(
            (string[])["--servers", "--apis", "--workers", "--port", "--postgres-port", "--rabbitmq-port", "--management-port", "--data", "--ephemeral", "--dashboard-port", "--no-dashboard", "--environment", "--monitoring"],
            option => Assert.Contains(output, line => line.Contains($" {option} ", StringComparison.Ordinal) || line.TrimEnd().EndsWith(option, StringComparison.Ordinal)));
    }

    private static async Task<string> MustEndAsync(string named, params string[] arguments)
    {
        var (exitCode, _, errors) = await Tool.RunAsync(s_appHost, arguments, new Dictionary<string, string?>());

        Assert.Equal(1, exitCode);
        var error = Assert.Single(errors);
        Assert.StartsWith("ledger: ", error, StringComparison.Ordinal);
        Assert.Contains(named, error, StringComparison.Ordinal);
        return error;
    }
}
