using System.Text.RegularExpressions;
using Ledger.Tests.Deploy;

namespace Ledger.Tests.Monitoring;

/// <summary>What <c>/metrics</c> answered.</summary>
internal sealed partial class Scrape(string text)
{
    // A connection for each scrape: behind one address of several workers, a connection that is kept is one worker's.
    private static readonly HttpClient s_http = new() { Timeout = TimeSpan.FromSeconds(15), DefaultRequestHeaders = { ConnectionClose = true } };

    /// <summary>Names such as <c>ledger_batch_size_bucket</c>, each with the labels that it has.</summary>
    public ILookup<string, string> LabelsBySeries { get; } = Sample().Matches(text)
        .SelectMany(sample => Label().Matches(sample.Groups["labels"].Value).Select(label => label.Groups["name"].Value).DefaultIfEmpty("")
            .Select(label => (Series: sample.Groups["name"].Value, Label: label)))
        .Distinct().ToLookup(pair => pair.Series, pair => pair.Label);

    public static async Task<Scrape> OfAsync(Uri metrics) => new(await s_http.GetStringAsync(metrics, TestContext.Current.CancellationToken));

    /// <summary>The value of the one sample that stands so, such as <c>auth_logins_total{status="failed"}</c>; null if there is none.</summary>
    public double? this[string sample] => text.Split('\n').Where(line => line.StartsWith(sample + " ", StringComparison.Ordinal))
        .Select(line => (double?)double.Parse(line[(sample.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture)).SingleOrDefault();

    /// <summary>Fails the test where Prometheus' own tool finds fault with it; skips it where the tool is not installed.</summary>
    public async Task MustPassPromtoolAsync()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, text, TestContext.Current.CancellationToken);
            var (exitCode, output, errors) = await Repository.RunAsync(
                "bash", ["-c", "command -v promtool >/dev/null || exit 99; promtool check metrics <\"$1\"", "-", file]);
            Assert.SkipWhen(exitCode == 99, "promtool is not installed here: scripts/check-monitoring.sh installs it.");
            Assert.True(exitCode == 0, $"promtool check metrics ended with {exitCode}.\n{output}\n{errors}\n{text}");
        }
        finally
        {
            File.Delete(file);
        }
    }

    [GeneratedRegex("""^(?<name>[a-zA-Z_:][\w:]*)(\{(?<labels>.*)\})? \S+$""", RegexOptions.Multiline)]
    private static partial Regex Sample();

    [GeneratedRegex("""(?<name>[a-zA-Z_]\w*)="(\\.|[^"\\])*?"(,|$)""")]
    private static partial Regex Label();
}
