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
}
