using System.Text.RegularExpressions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.OpenApi;

/// <summary>The API explorer, without a browser and, where there is Chromium, in one.</summary>
public sealed partial class ScalarTests(LedgerSystem system)
{
    [Fact]
    public async Task The_explorer_is_there_for_anybody_and_may_ask_only_its_own_origin()
    {
        var page = (await (await system.ApiAsync()).GetAsync("/scalar/")).MustBe(200);

        Assert.Equal("text/html", page.ContentType);
        var policy = Assert.Single(page.Headers.GetValues("Content-Security-Policy"));
        Assert.StartsWith("default-src 'none';", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe-eval", policy, StringComparison.Ordinal);
        Assert.DoesNotMatch(AnyHost(), policy);
        Assert.DoesNotMatch(OtherOrigin(), page.Text);
    }

    [Fact]
    public async Task The_explorer_s_script_comes_from_the_application()
    {
        var api = await system.ApiAsync();
        var page = (await api.GetAsync("/scalar/")).MustBe(200);
        if (ScriptOf().Match(page.Text) is not { Success: true } script)
        {
            Assert.Skip("Built without npm: the page says so.");
            return;
        }

        var answer = (await api.GetAsync(new Uri(new Uri("http://ledger/scalar/"), script.Groups[1].Value).AbsolutePath)).MustBe(200);

        Assert.Equal("text/javascript", answer.ContentType);
        Assert.Contains("api-reference", answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task In_a_browser_the_explorer_shows_the_operations_and_asks_no_other_host()
    {
        var api = await system.ApiAsync();
        Assert.SkipUnless(ScriptOf().IsMatch((await api.GetAsync("/scalar/")).MustBe(200).Text), "Built without npm: the page says so.");

        var (exitCode, output, errors) = await Repository.RunAsync("bash", ["scripts/check-scalar.sh", api.Address.GetLeftPart(UriPartial.Authority)]);

        Assert.SkipWhen(output.Contains("skipped", StringComparison.Ordinal), output.Trim());
        Assert.True(exitCode == 0, $"check-scalar.sh ended with {exitCode}.\n{output}\n{errors}");
    }

    // A scheme or a host, but for data URIs: https://cdn.example, *.example.com, https:
    [GeneratedRegex(@"https?:|wss?:|blob:|\*|[a-z0-9]\.[a-z]", RegexOptions.IgnoreCase)]
    private static partial Regex AnyHost();

    [GeneratedRegex("""(src|href|url)\s*=\s*["']?(https?:)?//""", RegexOptions.IgnoreCase)]
    private static partial Regex OtherOrigin();

    [GeneratedRegex("""<script\s[^>]*src="([^"]+)""")]
    private static partial Regex ScriptOf();
}
