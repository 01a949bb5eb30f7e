namespace Ledger.Tests.Deploy;

// Where these run, PostgreSQL and RabbitMQ are installed: run.sh finds nothing to install.
public sealed partial class RunScriptTests
{
    [Theory]
    [InlineData(Answers, "--host local", "--host", "local", "--apis", "2")]
    [InlineData(Answers, "--apis is an option of theirs", "--apis", "2")]
    [InlineData(IsAway, "no container engine answers")]
    public async Task Plain_processes_are_started_elsewhere_and_the_line_says_why(string docker, string why, params string[] arguments)
    {
        var (exitCode, output, errors) = await RunAsync(arguments, docker);

        Assert.Equal(0, exitCode);
        Assert.Equal($"ledger: starting plain processes ({why}).", errors.Trim());
        Assert.Equal($"{Repository.PathOf("Ledger.LocalHost/bin/Release/net10.0/Ledger.LocalHost.dll")}{(arguments.Contains("--apis") ? " --apis 2" : "")}", output.Trim());
    }
}
