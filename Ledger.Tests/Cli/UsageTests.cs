using Ledger.Tests.Harness;

namespace Ledger.Tests.Cli;

/// <summary>What <c>ledger</c> cannot make sense of. Exit code 1 is for what is not as it must be: nothing was looked at here.</summary>
public sealed class UsageTests
{
    [Theory]
    [InlineData("--nonsense", "verify", "--nonsense")]
    [InlineData("--rows", "verify", "--rows", "0")]
    [InlineData("--wait", "migrate", "--wait", "soon")]
    [InlineData("--url", "bench", "--url", "localhost:8080")]
    [InlineData("--role", "api-key", "create", "--name", "n")]
    [InlineData("--name", "api-key", "create", "--role", "operator", "--name", "")]
    // What the API would never let in.
    [InlineData("--email", "operator", "create", "--email", "nobody")]
    [InlineData("--email", "operator", "create", "--email", "\"a b\"@example.com")]
    [InlineData("--email", "operator", "create", "--email", "\"a\tb\"@example.com")]
    public async Task A_command_that_is_not_understood_ends_with_exit_code_2_and_names_what_it_is(string named, params string[] arguments)
    {
        var (exitCode, _, errors) = await RunAsync(arguments);

        Assert.Equal(2, exitCode);
        Assert.Contains(named, Assert.Single(errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nothing_at_all_is_no_command_and_help_is()
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
    public async Task A_connection_string_that_cannot_be_used_is_named(string? value)
    {
        var (exitCode, _, errors) = await Tool.RunAsync("ledger", ["verify"], new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = value });

        Assert.Equal(2, exitCode);
        Assert.Contains("ConnectionStrings__ledgerdb", Assert.Single(errors), StringComparison.Ordinal);
    }

    // Nobody listens there: what gets as far as asking for the database says that instead.
    private static Task<(int ExitCode, string[] Output, string[] Errors)> RunAsync(params string[] arguments) =>
        Tool.RunAsync("ledger", arguments, new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = "Host=127.0.0.1;Port=1;Username=u" });
}
