using Ledger.Tests.Harness;

namespace Ledger.Tests.Requests;

/// <summary>Text that means something to SQL, HTML, shells or templates stays text in every field.</summary>
public sealed class InjectionTests(LedgerSystem system)
{
    public static TheoryData<string> Injections =>
    [
        "'; drop table ledger.accounts; --", "' or '1'='1", "\") union select password_hash from identity.users --", "$1", "%s%n", "../../../etc/passwd",
        "<script>alert(1)</script>", "{{7*7}}", "${jndi:ldap://example.com/a}", "x\r\nSet-Cookie: a=b", "\u202Eevil", "\uFEFF", "NaN", "true", "[]",
    ];

    [Theory]
    [MemberData(nameof(Injections))]
    public async Task Injection_in_any_field_stays_text(string text)
    {
        var user = await system.NewUserAsync("100.00");
        var (api, isText, name) = (user.Api, !text.Any(char.IsControl), text[..Math.Min(text.Length, 40)]);

        // Fields of free text return it unchanged.
        var stored = await user.DepositAsync("1.00", reference: text, metadata: new Dictionary<string, string> { [name] = text }, key: isText && text.All(char.IsAscii) ? text : null);
        if (isText)
        {
            stored.MustBe(201);
            var read = (await user.TransactionAsync(stored.TransactionId)).MustBe(200);
            Assert.Equal((text, text), (read["reference"], read.Json.GetProperty("metadata").GetProperty(name).GetString()));
        }
        else
        {
            stored.MustBe(400, "validation_failed");
        }

        // Other fields refuse it as invalid.
        Answer[] answers =
        [
            await user.DepositAsync(text),
            await user.DepositAsync("1.00", text),
            await user.WithdrawAsync(text, text),
            await user.TransferAsync(text, "1.00"),
            await user.TransferAsync("nobody@example.com", text, text),
            await user.PostAsync("deposits", new { currency = "USD", amount = "1.00", onBehalfOf = text }),
            await user.PostAsync("identity/logout", new { refreshToken = text }),
            await user.PostAsync("identity/password", new { currentPassword = text, newPassword = text }),
            await api.PostAsync("identity/register", new { email = text, password = text }),
            await api.PostAsync("identity/login", new { email = text, password = text }),
            await api.PostAsync("identity/refresh", new { refreshToken = text }),
            await user.GetAsync($"balances/{Uri.EscapeDataString(text)}"),
            await user.GetAsync($"transactions?currency={Uri.EscapeDataString(text)}&kind={Uri.EscapeDataString(text)}&cursor={Uri.EscapeDataString(text)}"),
            await user.GetAsync($"transactions/{Uri.EscapeDataString(text)}"),
        ];
        Assert.All(answers, answer => Assert.True(answer.Status is >= 200 and < 500, $"{answer.Status}: {answer.Text}"));
        Assert.Equal(isText ? 101m : 100m, await user.BalanceAsync());
    }

    [Theory]
    [MemberData(nameof(Injections))]
    public async Task Injection_in_any_administrative_field_stays_text(string text)
    {
        var @operator = await system.NewOperatorAsync();
        var user = await system.NewUserAsync();
        var escaped = Uri.EscapeDataString(text);
        Answer[] answers =
        [
            await @operator.GetAsync($"admin/users?query={escaped}&cursor={escaped}"),
            await @operator.GetAsync($"admin/users?query={escaped}"),
            await @operator.GetAsync($"admin/audit?subject={escaped}&action={escaped}"),
            await @operator.GetAsync($"admin/audit?actor={escaped}&cursor={escaped}&limit={escaped}"),
            await @operator.PostAsync("admin/currencies", new { code = text, name = text, exponent = 2 }),
            await @operator.PostAsync($"admin/currencies/{escaped}/disable", ""),
            await @operator.PostAsync($"admin/users/{user.Id}/unfreeze", new { reason = text }),
        ];
        Assert.All(answers, answer => Assert.True(answer.Status is >= 200 and < 500, $"{answer.Status}: {answer.Text}"));
    }
}
