namespace Ledger.Tests.Deploy;

/// <summary>How <c>run.sh</c> chooses between the AppHost and plain processes. Nothing is started: <c>dotnet</c> is a stand-in that prints its arguments.</summary>
public sealed partial class RunScriptTests
{
    private const string Answers = "exit 0";
    private const string IsAway = "exit 1";

    [Theory]
    [InlineData("'nonsense'", "--host", "nonsense")]
    [InlineData("'Local'", "--host=Local")]
    [InlineData("''", "--host")]
    [InlineData("--apis", "--host", "aspire", "--apis", "2")]
    [InlineData("--monitoring", "--host", "local", "--monitoring")]
    public async Task A_bad_value_or_an_option_of_the_other_host_ends_it_with_one_line_that_names_it(string named, params string[] arguments) =>
        await MustRefuseAsync(named, arguments, Answers);

    [Theory]
    [InlineData(IsAway, "no container engine", "--host", "aspire")]
    [InlineData(IsAway, "no container engine", "--monitoring")]
    public async Task What_needs_the_AppHost_is_refused_where_it_cannot_run(string docker, string named, params string[] arguments) =>
        await MustRefuseAsync(named, arguments, docker);

    [Theory]
    [InlineData("--host aspire", "--host", "aspire")]
    [InlineData("docker answers")]
    [InlineData("docker answers", "--monitoring")]
    public async Task The_AppHost_is_run_where_it_can_be_and_the_line_says_why(string why, params string[] arguments)
    {
        var (exitCode, output, errors) = await RunAsync(arguments, Answers);

        Assert.Equal(0, exitCode);
        Assert.Equal($"ledger: starting the Aspire AppHost ({why}).", errors.Trim());
        Assert.Equal($"run --project {Repository.PathOf("Ledger.AppHost")} -- {(arguments.Contains("--monitoring") ? "--monitoring" : "")}".Trim(), output.Trim());
    }

    private static async Task MustRefuseAsync(string named, string[] arguments, string docker)
    {
        var (exitCode, output, errors) = await RunAsync(arguments, docker);

        Assert.Equal((1, ""), (exitCode, output));
        Assert.Contains(named, Assert.Single(errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output, string Errors)> RunAsync(string[] arguments, string docker)
    {
        var programs = Directory.CreateTempSubdirectory("ledger-run-script-");
        try
        {
            Write("dotnet", """if [[ $1 == --list-sdks ]]; then echo "10.0.100 [/sdk]"; else echo "$@"; fi""");
            Write("docker", docker);
            Write("podman", IsAway);
            return await Repository.RunAsync("bash", ["run.sh", .. arguments], new Dictionary<string, string>
            {
                ["PATH"] = $"{programs.FullName}:{Environment.GetEnvironmentVariable("PATH")}",
                ["ASPIRE_CONTAINER_RUNTIME"] = "",
                ["DOTNET_ASPIRE_CONTAINER_RUNTIME"] = "",
            });
        }
        finally
        {
            programs.Delete(recursive: true);
        }

        void Write(string program, string script)
        {
            var file = Path.Combine(programs.FullName, program);
            File.WriteAllText(file, $"#!/usr/bin/env bash\n{script}\n");
            if (!OperatingSystem.IsWindows())
                File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }
}
