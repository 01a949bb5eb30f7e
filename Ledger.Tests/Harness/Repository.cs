using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Ledger.Tests.Harness;

/// <summary>Files of the working copy that the tests were built from, and programs run in it.</summary>
public static partial class Repository
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromMinutes(3);

    /// <summary>The directory of <c>Ledger.sln</c>.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The version in <c>Directory.Build.props</c>, which is also the images' tag.</summary>
    public static string Version { get; } = VersionElement().Match(Read("Directory.Build.props")).Groups[1].Value;

    /// <summary>A path below <see cref="Root"/>.</summary>
    public static string PathOf(string path) => Path.Combine(Root, path);

    public static string Read(string path) => File.ReadAllText(PathOf(path));

    /// <summary>The standard output of a program. Skips the test if the program is not installed; fails it on an exit code other than 0.</summary>
    public static async Task<string> OutputOfAsync(string program, params string[] arguments)
    {
        Assert.SkipUnless(Exists(program), $"{program} is not installed.");
        var (exitCode, output, errors) = await RunAsync(program, arguments);
        Assert.True(exitCode == 0, $"{program} {string.Join(' ', arguments)} ended with exit code {exitCode}.\n{output}\n{errors}");
        return output;
    }

    /// <summary>Runs a program or a script of the repository in <see cref="Root"/> until it exits.</summary>
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
