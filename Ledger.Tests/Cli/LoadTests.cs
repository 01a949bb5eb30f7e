using System.Text.Json;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Cli;

/// <summary><c>ledger load</c> against an API without self-service deposits, as in Production.</summary>
public sealed class LoadTests(LedgerSystem system)
{
    [Theory]
    [InlineData("LEDGER_API_KEY")]
    [InlineData("KEY_OF_A_TEST", "--api-key-variable", "KEY_OF_A_TEST")]
    public async Task A_load_with_a_service_key_deposits_exchanges_and_reverses_for_its_users(string variable, params string[] arguments)
    {
        var service = await system.NewServiceAsync(Scopes.Transactions);
        var (id, key) = (service.Id, service.Key);

        var (exitCode, output, errors) = await LoadAsync([.. arguments, "--seed", "1"], (variable, key));

        Assert.True(exitCode == 0, string.Join('\n', output.Concat(errors)));
        Assert.DoesNotContain(output.Concat(errors), line => line.Contains(key, StringComparison.Ordinal));
        var kinds = await Books.TextsAsync(
            await system.DatabaseAsync(), "select distinct kind from ledger.transactions where status = 'posted' and principal_id = $1 order by kind", id);
        Assert.Equal(["deposit", "exchange", "reversal"], kinds);
        // The first deposits: four users in five enabled currencies.
        var deposits = await Books.NumberAsync(await system.DatabaseAsync(), "select count(*) from ledger.transactions where kind = 'deposit' and status = 'posted' and principal_id = $1", id);
        Assert.True(deposits >= 4 * 5, $"The key made {deposits} deposits.");
    }

    [Fact]
    public async Task A_load_with_an_operator_sends_every_kind_of_request_and_its_books_agree()
    {
        var (op, currencies) = (await system.NewOperatorAsync(), await NewCurrenciesAsync());

        var (exitCode, output, errors) = await LoadAsOperatorAsync(op, currencies, null);

        Assert.True(exitCode == 0, string.Join('\n', output.Concat(errors)));
        Assert.DoesNotContain(output.Concat(errors), line => line.Contains(LedgerApi.Password, StringComparison.Ordinal));
        Assert.All(
            Enum.GetNames<Ledger.Cli.Load.RequestKind>(),
            kind => Assert.True(output.Any(line => line.Contains($" {kind} ", StringComparison.Ordinal)), $"{kind} was not sent.\n{string.Join('\n', output)}"));
        Assert.Contains(output, line => line.StartsWith("Compared the house accounts", StringComparison.Ordinal));
        var database = await system.DatabaseAsync();
        Assert.True(await Books.NumberAsync(database, "select count(*) from ledger.accounts where currency = any ($1) and kind = 'user' and posted < 0", (object)currencies) > 0, "No account is below zero.");
        Assert.True(
            await Books.NumberAsync(database, """
                select count(*) from ledger.transactions r join ledger.transactions t on t.id = r.reverses
                where r.currency = any ($1) and r.status = 'posted' and t.kind = 'journal'
                """, (object)currencies) > 0, "No journal was reversed.");
    }

    [Fact]
    public async Task A_load_finds_a_reversal_that_took_the_money_back_twice()
    {
        var (op, currencies) = (await system.NewOperatorAsync(), await NewCurrenciesAsync());
        var api = await system.ApiAsync();
        var planted = 0;

        var (exitCode, output, errors) = await LoadAsOperatorAsync(op, currencies, async response =>
        {
            // The same entries again, if the accounts can pay twice.
            if (planted == 0 && IsReversal(response) && response.Status == 201)
            {
                var postings = EntriesOf(response).Select(entry => entry.Amount.StartsWith('-') ? Posting($"account:{entry.Account}", "world", entry) : Posting("world", $"account:{entry.Account}", entry));
                if ((await api.PostAsync("transactions", new { postings }, op.Token)).Status == 201)
                    Interlocked.Increment(ref planted);
            }
            return (response.Status, response.Body);
        });

        Assert.True(planted > 0 && exitCode == 1, string.Join('\n', output.Concat(errors)));
        Assert.True(output.Any(line => line.StartsWith("! ", StringComparison.Ordinal) && line.Contains("the API reports Account", StringComparison.Ordinal)), string.Join('\n', output));
        Assert.Contains("CHECKS FAILED.", output);

        static object Posting(string from, string to, (string Account, string Currency, string Amount) entry) =>
            new { from, to, currency = entry.Currency, amount = entry.Amount.TrimStart('-') };
    }

    [Fact]
    public async Task A_load_finds_two_reversals_of_one_transaction()
    {
        var (op, currencies) = (await system.NewOperatorAsync(), await NewCurrenciesAsync());

        var (exitCode, output, errors) = await LoadAsOperatorAsync(op, currencies, response => Task.FromResult(
            IsReversal(response) && response.Status == 409
                ? (201, $$"""{"id":"{{Guid.CreateVersion7()}}","kind":"reversal","status":"posted","currency":"{{currencies[0]}}","amount":"1","entries":[]}""")
                : (response.Status, response.Body)));

        Assert.True(exitCode == 1, string.Join('\n', output.Concat(errors)));
        Assert.Contains(output, line => line.Contains("at once: 2 were posted", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_load_without_a_key_ends_with_the_error_of_the_API()
    {
        var (exitCode, _, errors) = await LoadAsync([]);

        Assert.Equal(1, exitCode);
        Assert.Contains("403 forbidden", Assert.Single(errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_load_with_the_wrong_password_of_an_operator_ends_with_the_error_of_the_API()
    {
        var (exitCode, _, errors) = await LoadAsync(["--operator", (await system.NewOperatorAsync()).Email], ("LEDGER_OPERATOR_PASSWORD", "not the password"));

        Assert.Equal(1, exitCode);
        Assert.Contains("401 invalid_credentials", Assert.Single(errors), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_load_in_a_currency_that_is_not_enabled_ends_with_its_code()
    {
        var (exitCode, _, errors) = await LoadAsync(["--currency", "NOSUCH"], ("LEDGER_API_KEY", (await system.NewServiceAsync(Scopes.Transactions)).Key));

        Assert.Equal(1, exitCode);
        Assert.Contains("The currency NOSUCH is not enabled.", Assert.Single(errors), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("LEDGER_API_KEY", "no key")]
    [InlineData("KEY_OF_A_TEST", null, "--api-key-variable", "KEY_OF_A_TEST")]
    [InlineData("LEDGER_OPERATOR_PASSWORD", null, "--operator", "operator@example.com")]
    public async Task A_malformed_or_missing_secret_ends_a_load_before_the_first_request_and_is_not_printed(string variable, string? value, params string[] arguments)
    {
        var (exitCode, output, errors) = await LoadAsync(arguments, (variable, value));

        Assert.Equal(2, exitCode);
        Assert.Empty(output);
        Assert.Contains(variable, Assert.Single(errors), StringComparison.Ordinal);
        Assert.DoesNotContain("no key", errors[0], StringComparison.Ordinal);
    }

    private static bool IsReversal(Exchanged response) => response.Method == "POST" && response.Path.EndsWith("/reversal", StringComparison.Ordinal);

    private static (string Account, string Currency, string Amount)[] EntriesOf(Exchanged response) =>
        [.. JsonElement.Parse(response.Body).GetProperty("entries").EnumerateArray().Select(entry =>
            (entry.GetProperty("accountId").GetString()!, entry.GetProperty("currency").GetString()!, entry.GetProperty("amount").GetString()!))];

    // Of this test's own, so that no other test exchanges in them.
    private async Task<string[]> NewCurrenciesAsync()
    {
        var name = Convert.ToHexString(Guid.NewGuid().ToByteArray().AsSpan(0, 5));
        await Books.ExecuteAsync(
            await system.DatabaseAsync(), "insert into ledger.currencies (code, name, exponent, enabled) select 'L' || exponent || $1, 'Of a load', exponent, true from unnest(array[0, 2, 3]) exponent", name);
        return [$"L0{name}", $"L2{name}", $"L3{name}"];
    }

    private async Task<(int ExitCode, string[] Output, string[] Errors)> LoadAsOperatorAsync(
        LedgerUser op, string[] currencies, Func<Exchanged, Task<(int Status, string Body)>>? tamper)
    {
        // A new process: the others may have read the currencies before.
        using var api = await system.StartApiAsync();
        await using var proxy = tamper is null ? null : await TamperingProxy.StartAsync(api.Address, tamper);
        return await Tool.RunAsync(
            "ledger",
            [
                "load", "--url", (proxy?.Address ?? api.Address).ToString(), "--rate", "100", "--duration", "5s", "--users", "6", "--seed", "7", "--tolerate-outage",
                "--operator", op.Email, .. currencies.SelectMany(code => new[] { "--currency", code }),
            ],
            new Dictionary<string, string?> { ["LEDGER_API_KEY"] = null, ["LEDGER_OPERATOR_PASSWORD"] = LedgerApi.Password });
    }

    private async Task<(int ExitCode, string[] Output, string[] Errors)> LoadAsync(string[] arguments, params (string Variable, string? Value)[] environment)
    {
        using var api = await system.StartApiAsync(("Ledger__SelfServiceDeposits", "false"));
        var variables = new Dictionary<string, string?> { ["LEDGER_API_KEY"] = null, ["LEDGER_OPERATOR_PASSWORD"] = null };
        foreach (var (variable, value) in environment)
            variables[variable] = value;
        // --tolerate-outage, because starts can be late while other tests load the machine.
        return await Tool.RunAsync(
            "ledger", ["load", "--url", api.Address.ToString(), "--rate", "50", "--duration", "2s", "--users", "4", "--tolerate-outage", .. arguments], variables);
    }
}
