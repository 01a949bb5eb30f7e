using Ledger.ServiceDefaults;
using Ledger.Tests.Harness;
using Microsoft.Extensions.Logging;

namespace Ledger.Tests.Background;

/// <summary>When a periodic service runs, what it logs, and how it stops.</summary>
public sealed class PeriodicServiceTests
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(7);
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly WatchedClock _clock = new();
    private readonly RecordedLog _log = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Duty_runs_at_the_start_and_after_each_pause()
    {
        using var service = new Duty(_clock, _log, Period, (_, _) => Task.CompletedTask);
        await service.StartAsync(Cancelled);

        for (var run = 1; run <= 5; run++)
        {
            Assert.Equal(Period, await _clock.WaitAsync(Cancelled));
            Assert.Equal((run, 0), (service.Runs, service.Failures));
            _clock.Advance(Period);
        }
        await service.StopAsync(Cancelled);
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task Failed_run_is_logged_and_followed_by_the_next_one_after_the_pause()
    {
        using var service = new Duty(_clock, _log, Period, (run, _) => run == 1 ? throw new IOException("Connection refused") : Task.CompletedTask);
        await service.StartAsync(Cancelled);

        Assert.Equal(Period, await _clock.WaitAsync(Cancelled));
        Assert.Equal((1, 1), (service.Runs, service.Failures));
        Assert.Equal(["Testing failed and is tried again: Connection refused"], _log.Lines);
        _clock.Advance(Period);
        await _clock.WaitAsync(Cancelled);
        Assert.Equal((2, 1), (service.Runs, service.Failures));
        await service.StopAsync(Cancelled);
    }

    [Fact]
    public async Task Same_reason_is_logged_once_a_minute_and_another_at_once()
    {
        using var service = new Duty(_clock, _log, Period, (run, _) => throw new IOException(run is 4 or 5 ? "Access refused" : "Connection refused"));
        await service.StartAsync(Cancelled);

        var lines = new List<int>();
        for (var run = 1; run <= 16; run++)
        {
            await _clock.WaitAsync(Cancelled);
            lines.Add(_log.Lines.Count);
            _clock.Advance(Period);
        }
        await service.StopAsync(Cancelled);

        // A minute has nine runs: the line of run 6 is repeated at run 15.
        Assert.Equal([1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4], lines);
    }

    [Fact]
    public async Task Run_that_gives_up_on_its_own_timeout_is_a_failure()
    {
        using var service = new Duty(_clock, _log, Period, (_, _) => throw new OperationCanceledException("The read was given up"));
        await service.StartAsync(Cancelled);

        await _clock.WaitAsync(Cancelled);
        Assert.Equal(["Testing failed and is tried again: The read was given up"], _log.Lines);
        await service.StopAsync(Cancelled);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Stop_during_a_run_cancels_the_run_and_logs_nothing(bool fails)
    {
        var isRunning = new TaskCompletionSource();
        using var service = new Duty(_clock, _log, Period, async (_, stopping) =>
        {
            isRunning.SetResult();
            await Task.Delay(Timeout.Infinite, stopping).ConfigureAwait(fails ? ConfigureAwaitOptions.SuppressThrowing : ConfigureAwaitOptions.None);
            throw new IOException("The connection was closed");
        });
        await service.StartAsync(Cancelled);
        await isRunning.Task.WaitAsync(Deadline, Cancelled);

        await service.StopAsync(Cancelled).WaitAsync(Deadline, Cancelled);

        Assert.True(service.ExecuteTask!.IsCompletedSuccessfully);
        Assert.Equal(1, service.Runs);
        Assert.Empty(_log.Lines);
    }

    [Fact]
    public async Task Stop_during_a_pause_ends_the_service_at_once()
    {
        using var service = new Duty(_clock, _log, Period, (_, _) => Task.CompletedTask);
        await service.StartAsync(Cancelled);
        await _clock.WaitAsync(Cancelled);

        await service.StopAsync(Cancelled).WaitAsync(Deadline, Cancelled);

        Assert.True(service.ExecuteTask!.IsCompletedSuccessfully);
        Assert.Equal(1, service.Runs);
    }

    [Fact]
    public async Task Period_of_zero_disables_the_duty()
    {
        using var service = new Duty(_clock, _log, TimeSpan.Zero, (_, _) => Task.CompletedTask);
        await service.StartAsync(Cancelled);

        await service.ExecuteTask!.WaitAsync(Deadline, Cancelled);

        Assert.Equal(0, service.Runs);
    }

    private sealed class Duty(TimeProvider clock, ILogger logger, TimeSpan period, Func<int, CancellationToken, Task> run) : PeriodicService("Testing", period, clock, logger)
    {
        public int Runs { get; private set; }

        public int Failures { get; private set; }

        protected override Task RunAsync(CancellationToken stoppingToken) => run(++Runs, stoppingToken);

        protected override void OnFailed() => Failures++;
    }
}
