using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Ledger.ServiceDefaults;
using Ledger.Tests.Faults;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Documentation;

/// <summary>The commands of <c>docs/guide.md</c>, run in their order by one shell, as a reader pastes them.</summary>
/// <remarks>Not in the system that most tests share: the guide closes the books until the start of the month.</remarks>
[Collection(nameof(Faults.Faults))]
public sealed partial class GuideTests(FaultSystem system)
{
    private const string End = "--- end of block ";

    [Fact]
    public async Task The_guide_gives_the_answers_that_it_shows()
    {
        var blocks = Blocks(Repository.Read("docs/guide.md"));
        await system.RecoveredAsync();
        var api = system.Apis[0].Address;
        var script = new StringBuilder();
        // The page's own setup is for a reader: here address, database and tool are the test system's.
        script.AppendLine(CultureInfo.InvariantCulture, $"set -uo pipefail; export NO_COLOR=1 COLUMNS=400; ledger() {{ dotnet '{Path.Combine(AppContext.BaseDirectory, "ledger.dll")}' \"$@\"; }}");
        script.AppendLine(CultureInfo.InvariantCulture, $"api={api.GetLeftPart(UriPartial.Authority)}/api/v1");
        foreach (var (number, block) in blocks.Index())
            script.AppendLine(block.Commands).AppendLine(CultureInfo.InvariantCulture, $"echo; echo '{End}{number}'");

        var (exitCode, output, errors) = await Repository.RunAsync("bash", ["-c", script.ToString()], new Dictionary<string, string>
        {
            [$"ConnectionStrings__{ResourceNames.Database}"] = system.Processes.PostgresConnectionString,
        });

        Assert.True(exitCode == 0, errors);
        var rest = output;
        foreach (var (number, block) in blocks.Index())
        {
            var parts = rest.Split($"{End}{number}\n", 2);
            Assert.True(parts.Length == 2, $"The shell ended before block {number}:\n{block.Commands}\n{errors}");
            rest = parts[1];
            block.MustHaveAnswered(parts[0], errors);
        }
        Assert.True(blocks.Count > 30, $"The guide has only {blocks.Count} blocks.");
    }

    private static List<Block> Blocks(string page)
    {
        var blocks = new List<Block>();
        foreach (Match fence in Fence().Matches(page))
        {
            var (language, text) = (fence.Groups["language"].Value, fence.Groups["text"].Value);
            if (language == "sh")
                blocks.Add(new Block(text, null, IsJson: false));
            else if (language is "json" or "text")
                blocks[^1] = blocks[^1] with { Expected = text, IsJson = language == "json" };
        }
        return blocks;
    }

    [GeneratedRegex(@"^```(?<language>[^\n]*)\n(?<text>.*?)^```$", RegexOptions.Singleline | RegexOptions.Multiline)]
    private static partial Regex Fence();

    private sealed record Block(string Commands, string? Expected, bool IsJson)
    {
        public void MustHaveAnswered(string output, string errors)
        {
            if (Expected is null)
                return;
            if (!IsJson)
            {
                foreach (var line in Expected.Split('\n', StringSplitOptions.RemoveEmptyEntries))
                    Assert.Matches($"(?im)^{Regex.Escape(line).Replace("…", ".+", StringComparison.Ordinal)}\\s*$", output + errors);
                return;
            }
            // The last line that is an object: commands before it may print other things.
            var answer = output.Split('\n').LastOrDefault(line => line.StartsWith('{'));
            Assert.True(answer is not null, $"No JSON was answered to\n{Commands}\nbut\n{output}");
            using var expected = JsonDocument.Parse(Expected);
            using var actual = JsonDocument.Parse(answer);
            Assert.True(Has(actual.RootElement, expected.RootElement), $"{Commands}\nThe guide shows {Expected}\nbut the answer was {answer}");
        }

        // What the page shows must be in the answer; the answer may have more fields.
        private static bool Has(JsonElement actual, JsonElement expected) => expected.ValueKind switch
        {
            JsonValueKind.Object => actual.ValueKind == JsonValueKind.Object
                && expected.EnumerateObject().All(field => actual.TryGetProperty(field.Name, out var value) && Has(value, field.Value)),
            JsonValueKind.Array => actual.ValueKind == JsonValueKind.Array && actual.GetArrayLength() == expected.GetArrayLength()
                && expected.EnumerateArray().Zip(actual.EnumerateArray()).All(pair => Has(pair.Second, pair.First)),
            JsonValueKind.String when expected.GetString() == "…" => actual.ValueKind is JsonValueKind.String,
            _ => JsonElement.DeepEquals(actual, expected),
        };
    }
}
