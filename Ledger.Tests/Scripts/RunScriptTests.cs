using Ledger.Tests.Harness;

namespace Ledger.Tests.Scripts;

/// <summary>How <c>run.sh</c> prepares a run. Nothing is installed, built or started: its programs are stand-ins that print their arguments.</summary>
public sealed class RunScriptTests
{
    private const string Answers = "exit 0";
    private const string IsAway = "exit 1";

    [Theory]
    [InlineData(Answers, "--sdk")]
    [InlineData(Answers, "--sdk", "--ephemeral", "--port", "0")]
    [InlineData(Answers, "", "--servers", "native")]
    [InlineData(Answers, "", "--servers=native", "--apis", "2")]
    [InlineData(IsAway, "")]
    [InlineData(IsAway, "", "--apis", "2")]
    [InlineData(IsAway, "--sdk", "--servers", "containers")]
    [InlineData(IsAway, "--sdk", "--servers=containers")]
    [InlineData(IsAway, "--sdk", "--help")]
    public async Task Native_servers_are_installed_where_they_are_used_and_the_AppHost_gets_all_options(string docker, string dependencies, params string[] arguments)
    {
        var (exitCode, output, errors) = await RunAsync(docker, "exit 0", arguments);

        Assert.Equal(0, exitCode);
        Assert.Equal(string.Join(' ', ["Ledger.AppHost.dll", .. arguments]), output.Trim());
        var lines = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal($"dependencies {dependencies}", lines[0]);
        Assert.Matches(@"^ledger: +[0-9.]+ s  building$", lines[1]);
        Assert.Equal(2, lines.Length);
    }

    [Fact]
    public async Task A_failed_build_ends_the_start_with_its_output_and_one_line()
    {
        var (exitCode, output, errors) = await RunAsync(Answers, "echo 'error CS1002'; exit 1");

        Assert.Equal((1, ""), (exitCode, output));
        Assert.Contains("error CS1002", errors, StringComparison.Ordinal);
        Assert.EndsWith("ledger: the build failed, see above.", errors.Trim(), StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output, string Errors)> RunAsync(string docker, string build, params string[] arguments)
    {
        var copy = Directory.CreateTempSubdirectory("ledger-run-script-");
        try
        {
            Write("run.sh", Repository.Read("run.sh"));
            Write("scripts/dependencies.sh", "#!/usr/bin/env bash\necho \"dependencies $*\" >&2\n");
            Write("bin/dotnet", $$"""
                #!/usr/bin/env bash
                if [[ $1 == build ]]; then {{build}}; fi
                echo "${1##*/}" "${@:2}"

                """);
            Write("bin/docker", $"#!/usr/bin/env bash\n{docker}\n");
            Write("bin/podman", $"#!/usr/bin/env bash\n{IsAway}\n");
            return await Repository.RunAsync(Path.Combine(copy.FullName, "run.sh"), arguments, new Dictionary<string, string>
            {
                ["PATH"] = $"{copy.FullName}/bin:{Environment.GetEnvironmentVariable("PATH")}",
                ["ASPIRE_CONTAINER_RUNTIME"] = "",
                ["DOTNET_ASPIRE_CONTAINER_RUNTIME"] = "",
            });
        }
        finally
        {
            copy.Delete(recursive: true);
        }

        void Write(string path, string text)
        {
            var file = Path.Combine(copy.FullName, path);
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, text);
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }
}
