using Ledger.Tests.Harness;

namespace Ledger.Tests.Cli;

/// <summary>Command lines that <c>ledger</c> rejects: exit code 2, because 1 means that a check failed.</summary>
public sealed class UsageTests
{
    [Theory]
    [InlineData("--nonsense", "verify", "--nonsense")]
    [InlineData("--rows", "verify", "--rows", "0")]
    [InlineData("--wait", "migrate", "--wait", "soon")]
    [InlineData("--url", "bench", "--url", "localhost:8080")]
    [InlineData("--scopes", "service", "create", "--name", "n")]
    [InlineData("--scopes", "service", "create", "--name", "n", "--scopes", "read,everything")]
    [InlineData("--name", "service", "create", "--scopes", "read", "--name", "")]
    [InlineData("--expires", "service", "key", "create", "n", "--expires", "0d")]
    // Addresses that the API refuses to register.
    [InlineData("--email", "operator", "create", "--email", "no-address")]
    [InlineData("--email", "operator", "create", "--email", "\"a b\"@example.com")]
    [InlineData("--email", "operator", "create", "--email", "\"a\tb\"@example.com")]
    public async Task A_bad_command_line_ends_with_exit_code_2_and_one_line_that_names_the_option(string named, params string[] arguments)
    {
        var (exitCode, _, errors) = await RunAsync(arguments);

        Assert.Equal(2, exitCode);
        Assert.Contains(named, Assert.Single(errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_missing_or_unknown_command_ends_with_exit_code_2_and_help_with_0()
    {
        Assert.Equal(2, (await RunAsync()).ExitCode);
        Assert.Equal(2, (await RunAsync("nonsense")).ExitCode);
        Assert.Equal(0, (await RunAsync("--help")).ExitCode);
        Assert.Equal(0, (await RunAsync("verify", "--help")).ExitCode);
    }

    [Theory]
    [InlineData("postgres")]
    [InlineData("Database=d")]
    [InlineData("Host=127.0.0.1;Port=many")]
    [InlineData(null)]
    public async Task A_bad_connection_string_ends_with_exit_code_2_and_one_line_that_names_it(string? value)
    {
        var (exitCode, _, errors) = await Tool.RunAsync("ledger", ["verify"], new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = value });

        Assert.Equal(2, exitCode);
        Assert.Contains("ConnectionStrings__ledgerdb", Assert.Single(errors), StringComparison.Ordinal);
    }

    // Nothing listens there, so a command that reaches the database fails with a different error.
    private static Task<(int ExitCode, string[] Output, string[] Errors)> RunAsync(params string[] arguments) =>
        Tool.RunAsync("ledger", arguments, new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = "Host=127.0.0.1;Port=1;Username=u" });
}
