using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Ledger.Tests.Deploy;

/// <summary>The working copy that these tests were built from, and the programs that read it.</summary>
public static partial class Repository
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromMinutes(3);

    /// <summary>The folder of <c>Ledger.sln</c>.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The version in <c>Directory.Build.props</c>, which the images have too.</summary>
    public static string Version { get; } = VersionElement().Match(Read("Directory.Build.props")).Groups[1].Value;

    /// <summary>A path below <see cref="Root"/>.</summary>
    public static string PathOf(string path) => Path.Combine(Root, path);

    public static string Read(string path) => File.ReadAllText(PathOf(path));

    /// <summary>What a program writes to its standard output. Skips the test where there is no such program; fails it where the program does.</summary>
    public static async Task<string> OutputOfAsync(string program, params string[] arguments)
    {
        Assert.SkipUnless(Exists(program), $"{program} is not installed here: what it would render is held against the approved copies elsewhere.");
        var (exitCode, output, errors) = await RunAsync(program, arguments);
        Assert.True(exitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {exitCode}.\n{output}\n{errors}");
        return output;
    }

    /// <summary>Runs a program, or one of the repository's scripts, from <see cref="Root"/> to its end.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> RunAsync(
        string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = Root,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (var (name, value) in environment ?? new Dictionary<string, string>())
            start.Environment[name] = value;

        using var process = Process.Start(start)!;
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        deadline.CancelAfter(s_timeout);
        try
        {
            process.StandardInput.Close();
            var output = process.StandardOutput.ReadToEndAsync(deadline.Token);
            var errors = process.StandardError.ReadToEndAsync(deadline.Token);
            await process.WaitForExitAsync(deadline.Token);
            return (process.ExitCode, await output, await errors);
        }
        finally
        {
            if (!process.HasExited)
                process.Kill(entireProcessTree: true);
        }
    }

    /// <summary>
    /// Holds rendered documents against the approved copy in <c>Ledger.Tests/Approved/kubernetes</c>. A difference is approved
    /// by replacing it with the <c>.received.yaml</c> that this leaves beside it.
    /// </summary>
    public static async Task ApproveAsync(string name, string rendered)
    {
        var approved = PathOf($"Ledger.Tests/Approved/kubernetes/{name}.yaml");
        var received = Path.ChangeExtension(approved, ".received.yaml");
        await File.WriteAllTextAsync(received, rendered, TestContext.Current.CancellationToken);
        Assert.Equal(Canonical(File.Exists(approved) ? await File.ReadAllTextAsync(approved, TestContext.Current.CancellationToken) : ""), Canonical(rendered));
        File.Delete(received);
    }

    // The order of documents and of their fields is the renderer's own, and another version's may differ.
    private static string Canonical(string yaml) =>
        string.Join('\n', Yaml.Parse(yaml).Select(document => Sorted(document)!.ToJsonString()).Order(StringComparer.Ordinal));

    private static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject fields => new JsonObject(fields.OrderBy(field => field.Key, StringComparer.Ordinal).Select(field => KeyValuePair.Create(field.Key, Sorted(field.Value)))),
        JsonArray items => new JsonArray([.. items.Select(Sorted)]),
        _ => node?.DeepClone(),
    };

    private static bool Exists(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));

    private static string FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "Ledger.sln")))
                return directory.FullName;
        }
        throw new InvalidOperationException($"There is no Ledger.sln above {AppContext.BaseDirectory}.");
    }

    [GeneratedRegex("<Version>(.*)</Version>")]
    private static partial Regex VersionElement();
}
