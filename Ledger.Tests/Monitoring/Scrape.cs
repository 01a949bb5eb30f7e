using System.Globalization;
using System.Text.RegularExpressions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Monitoring;

/// <summary>The samples of one answer of <c>/metrics</c>.</summary>
internal sealed partial class Scrape
{
    // A connection for each scrape: several workers share an address, and a kept connection reaches one of them.
    private static readonly HttpClient s_http = new() { Timeout = TimeSpan.FromSeconds(15), DefaultRequestHeaders = { ConnectionClose = true } };

    private readonly string _text;
    private readonly Dictionary<string, string> _values;

    private Scrape(string text)
    {
        _text = text;
        var samples = Sample().Matches(text);
        // The exporter writes "name{}" for a sample without labels.
        _values = samples.ToDictionary(
            sample => sample.Groups["labels"].Length == 0 ? sample.Groups["name"].Value : $"{sample.Groups["name"]}{{{sample.Groups["labels"]}}}",
            sample => sample.Groups["value"].Value);
        LabelsBySeries = samples
            .SelectMany(sample => Label().Matches(sample.Groups["labels"].Value).Select(label => label.Groups["name"].Value).DefaultIfEmpty("")
                .Select(label => (Series: sample.Groups["name"].Value, Label: label)))
            .Distinct().ToLookup(pair => pair.Series, pair => pair.Label);
    }

    /// <summary>The names of the series, such as <c>ledger_batch_size_bucket</c>, each with the names of its labels.</summary>
    public ILookup<string, string> LabelsBySeries { get; }

    public static async Task<Scrape> OfAsync(Uri metrics) => new(await s_http.GetStringAsync(metrics, TestContext.Current.CancellationToken));

    /// <summary>The value of a sample such as <c>auth_logins_total{status="failed"}</c>; null if there is no such sample.</summary>
    public double? this[string sample] => _values.TryGetValue(sample, out var value) ? double.Parse(value, CultureInfo.InvariantCulture) : null;

    /// <summary>Fails the test if promtool reports an error; skips it if promtool is not installed.</summary>
    public async Task MustPassPromtoolAsync()
    {
        var file = Path.GetTempFileName();
        try
        {
            await File.WriteAllTextAsync(file, _text, TestContext.Current.CancellationToken);
            var (exitCode, output, errors) = await Repository.RunAsync(
                "bash", ["-c", "command -v promtool >/dev/null || exit 99; promtool check metrics <\"$1\"", "-", file]);
            Assert.SkipWhen(exitCode == 99, "promtool is not installed here: scripts/check-monitoring.sh installs it.");
            Assert.True(exitCode == 0, $"promtool check metrics ended with {exitCode}.\n{output}\n{errors}\n{_text}");
        }
        finally
        {
            File.Delete(file);
        }
    }

    [GeneratedRegex("""^(?<name>[a-zA-Z_:][\w:]*)(\{(?<labels>.*)\})? (?<value>\S+)$""", RegexOptions.Multiline)]
    private static partial Regex Sample();

    [GeneratedRegex("""(?<name>[a-zA-Z_]\w*)="(\\.|[^"\\])*?"(,|$)""")]
    private static partial Regex Label();
}
