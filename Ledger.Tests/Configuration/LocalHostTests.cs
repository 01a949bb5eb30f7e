using Ledger.Tests.Harness;

namespace Ledger.Tests.Configuration;

/// <summary>How <c>Ledger.LocalHost</c> refuses what it cannot start with. Nothing is started.</summary>
public sealed class LocalHostTests
{
    [Theory]
    [InlineData("--apis", "abc")]
    [InlineData("--apis", "65")]
    [InlineData("--workers", "-1")]
    [InlineData("--port", "http")]
    [InlineData("--port", "65001")]
    [InlineData("--dashboard-port", "1.5")]
    [InlineData("--data", "")]
    [InlineData("--data", "/dev/null/data")]
    [InlineData("--data", "{a file}")]
    public async Task A_bad_value_ends_it_with_exit_code_1_and_one_line_that_names_the_option(string option, string value)
    {
        var file = Path.GetTempFileName();
        try
        {
            var (exitCode, _, errors) = await Tool.RunAsync(
                "Ledger.LocalHost", [option, value.Replace("{a file}", file, StringComparison.Ordinal)], new Dictionary<string, string?>());

            Assert.Equal(1, exitCode);
            Assert.Contains(option, Assert.Single(errors), StringComparison.Ordinal);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"PostgresPassword\":\"a")]
    [InlineData("null")]
    [InlineData("{\"PostgresPassword\":\"a\"}")]
    public async Task Passwords_that_cannot_be_read_end_it_with_one_line_that_names_their_file(string text)
    {
        // Not one for its owner alone: PostgreSQL's account must get through.
        var data = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), $"ledger-damaged-{Guid.NewGuid():N}")).FullName;
        try
        {
            var file = Path.Combine(data, "secrets.json");
            await File.WriteAllTextAsync(file, text, TestContext.Current.CancellationToken);

            var (exitCode, _, errors) = await Tool.RunAsync(
                "Ledger.LocalHost", ["--data", data, "--port", "0", "--postgres-port", "0", "--rabbitmq-port", "0", "--management-port", "0"], new Dictionary<string, string?>());

            Assert.Equal(1, exitCode);
            var error = Assert.Single(errors);
            Assert.Contains(file, error, StringComparison.Ordinal);
            Assert.Contains("--data", error, StringComparison.Ordinal);
            // What can still be saved of it is not overwritten.
            Assert.Equal(text, await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }
}
