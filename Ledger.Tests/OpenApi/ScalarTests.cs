using System.Text.RegularExpressions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.OpenApi;

/// <summary>The API explorer, over HTTP and, where Chromium is installed, in a browser.</summary>
public sealed partial class ScalarTests(LedgerSystem system)
{
    [Fact]
    public async Task Explorer_is_public_and_limited_to_its_own_origin()
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
    public async Task Script_of_the_explorer_comes_from_the_application()
    {
        var api = await system.ApiAsync();
        var page = (await api.GetAsync("/scalar/")).MustBe(200);
        var script = ScriptOf().Match(page.Text);
        Assert.True(script.Success, $"The page has no script: {page.Text}");

        var answer = (await api.GetAsync(new Uri(new Uri("http://ledger/scalar/"), script.Groups[1].Value).AbsolutePath)).MustBe(200);

        Assert.Equal("text/javascript", answer.ContentType);
        Assert.Contains("api-reference", answer.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Explorer_shows_the_operations_in_a_browser_and_contacts_no_other_host()
    {
        var api = await system.ApiAsync();
        var (exitCode, output, errors) = await Repository.RunAsync("bash", ["scripts/check-scalar.sh", api.Address.GetLeftPart(UriPartial.Authority)]);

        Assert.SkipWhen(output.Contains("skipped", StringComparison.Ordinal), output.Trim());
        Assert.True(exitCode == 0, $"check-scalar.sh ended with {exitCode}.\n{output}\n{errors}");
    }

    // A scheme other than data:, or a host: https://cdn.example, *.example.com, https:
    [GeneratedRegex(@"https?:|wss?:|blob:|\*|[a-z0-9]\.[a-z]", RegexOptions.IgnoreCase)]
    private static partial Regex AnyHost();

    [GeneratedRegex("""(src|href|url)\s*=\s*["']?(https?:)?//""", RegexOptions.IgnoreCase)]
    private static partial Regex OtherOrigin();

    [GeneratedRegex("""<script\s[^>]*src="([^"]+)""")]
    private static partial Regex ScriptOf();
}
