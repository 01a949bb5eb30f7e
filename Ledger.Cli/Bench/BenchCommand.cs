using System.CommandLine;
using System.Diagnostics;
using System.Globalization;

namespace Ledger.Cli.Bench;

/// <summary><c>ledger bench</c>: measures transfers per second. Exit code 1 if a transfer is not posted.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        var url = Options.Addresses("--url", "Address of the API");
        var connections = Options.Number("--connections", "Keep-alive connections, each with one transfer in flight", 128, 1, 10_000);
        var accounts = Options.Number("--accounts", "Users to register for the transfers", 10_000, 2, 1_000_000);
        var duration = Options.Duration("--duration", "How long to measure", TimeSpan.FromSeconds(20));
        var warmup = Options.Duration("--warmup", "How long to send before measuring", TimeSpan.FromSeconds(5));
        var keys = new Option<bool>("--idempotency-keys") { Description = "Send each transfer with its own idempotency key" };
        var serviceKey = new Option<string?>("--service-key-variable")
        {
            Description = "Environment variable with an API key of a service account with scope transactions, which sends the transfers on behalf of the users",
            HelpName = "name",
        };
        serviceKey.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var name }] && string.IsNullOrEmpty(Environment.GetEnvironmentVariable(name)))
                result.AddError($"--service-key-variable: the environment variable {name} is not set.");
        });
        var command = new Command("bench", "Measure transfers per second. Each connection sends its next transfer after the 201 of the previous one. Start the API with Ledger__Identity__PasswordIterations=1000, because thousands of users are registered first.")
        {
            url, connections, accounts, duration, warmup, keys, serviceKey,
        };
        command.SetAction((result, _) => RunAsync(new BenchOptions(
            result.GetValue(url)![0], result.GetValue(connections), result.GetValue(accounts), result.GetValue(duration),
            result.GetValue(warmup), result.GetValue(keys),
            result.GetValue(serviceKey) is { } variable ? Environment.GetEnvironmentVariable(variable) : null)));
        return command;
    }

    private static async Task<int> RunAsync(BenchOptions options)
    {
        // Handles responses on the one thread that polls the sockets: the work takes microseconds, less than a hop to the pool.
        // .NET reads these variables when the first socket is created.
        Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_INLINE_COMPLETIONS", "1");
        Environment.SetEnvironmentVariable("DOTNET_SYSTEM_NET_SOCKETS_THREAD_COUNT", "1");

        using var run = new BenchRun(options);
        try
        {
            Console.WriteLine($"Registering {options.Accounts} users at {options.Url} …");
            var started = Stopwatch.GetTimestamp();
            var preparing = Task.Run(run.PrepareAsync);
            while (await Task.WhenAny(preparing, Task.Delay(TimeSpan.FromSeconds(5))) != preparing)
                Console.WriteLine($"  {run.Ready}");
            await preparing;
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"Registered, logged in and funded in {Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s."));
        }
        catch (IOException e)
        {
            await Console.Error.WriteLineAsync($"ledger: {e.Message}");
            return 1;
        }

        // scripts/benchmark.sh samples the processes when it reads these lines.
        Console.WriteLine($"Warming up for {options.Warmup.TotalSeconds:0.#} s …");
        var measuring = Task.Run(run.MeasureAsync);
        await Task.WhenAny(measuring, Task.Delay(options.Warmup));
        var before = Environment.CpuUsage.TotalTime;
        Console.WriteLine($"Measuring for {options.Duration.TotalSeconds:0.#} s …");
        await Task.WhenAny(measuring, Task.Delay(options.Duration));
        Console.WriteLine("Measured.");
        var spent = Environment.CpuUsage.TotalTime - before;
        return Print(await measuring, spent) ? 0 : 1;
    }

    private static bool Print(BenchResult result, TimeSpan spent)
    {
        var latencies = result.Latencies;
        foreach (var error in result.FirstErrors)
            Console.WriteLine($"! {error}");
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{result.TransfersPerSecond:0} transfers/s"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"p50 {latencies.Percentile(0.5).TotalMilliseconds:0.0} ms, p99 {latencies.Percentile(0.99).TotalMilliseconds:0.0} ms, max {latencies.Max.TotalMilliseconds:0.0} ms"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{latencies.Count} transfers, {result.Errors} errors; CPU of this generator: {spent.TotalMicroseconds / Math.Max(1, latencies.Count):0.0} µs per transfer"));
        return result.Errors == 0 && latencies.Count > 0;
    }
}
