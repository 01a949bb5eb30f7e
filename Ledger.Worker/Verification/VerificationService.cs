using System.Diagnostics.Metrics;
using System.Text.Json;
using Ledger.Core;
using Ledger.Core.Persistence;
using Ledger.Core.Verification;
using Ledger.ServiceDefaults;
using Microsoft.Extensions.Options;
using Npgsql;
using NpgsqlTypes;

namespace Ledger.Worker.Verification;

/// <summary>Runs the verifier at intervals, in one worker at a time, and reports the findings of the last run.</summary>
public sealed partial class VerificationService : PeriodicService
{
    // Of all advisory locks of the database: "verify" in ASCII.
    private const long Lock = 0x766572696679;
    private const int MaxRows = 20;
    private static readonly TimeSpan LookInterval = TimeSpan.FromSeconds(5);

    private readonly NpgsqlDataSource _database;
    private readonly VerificationOptions _options;
    private readonly ILogger<VerificationService> _logger;
    private LastRun? _last;

    public VerificationService(NpgsqlDataSource database, TimeProvider clock, IOptions<VerificationOptions> options, ILogger<VerificationService> logger)
        : base("Verifying the books", options.Value.IntervalMinutes == 0 ? TimeSpan.Zero : LookInterval, clock, logger)
    {
        _database = database;
        _options = options.Value;
        _logger = logger;
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.verification.money_failures", () => Observe(last => last.MoneyFailures), "{failure}", "Breaches of the rules of the books that the last verification found; 0 is clean.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.verification.liveness_failures", () => Observe(last => last.LivenessFailures), "{failure}", "Pending commands that the last verification found failed or too old.");
        LedgerTelemetry.Meter.CreateObservableGauge(
            "ledger.verification.age", () => Observe(last => AgeOf(last).TotalSeconds), "s", "Time since the last verification.");
    }

    // No value before the first run: a zero would say that the books are in order.
    private IEnumerable<Measurement<double>> Observe(Func<LastRun, double> value) => _last is { } last ? [new(value(last))] : [];

    private TimeSpan AgeOf(LastRun run) => Clock.GetUtcNow().UtcDateTime - run.At;

    protected override async Task RunAsync(CancellationToken stoppingToken)
    {
        _last = await LastAsync(stoppingToken);
        if (_last is null || AgeOf(_last) >= TimeSpan.FromMinutes(_options.IntervalMinutes))
            await VerifyAsync(stoppingToken);
    }

    private async Task VerifyAsync(CancellationToken cancellationToken)
    {
        await using var connection = await _database.OpenConnectionAsync(cancellationToken);
        await using var held = await AdvisoryLock.TryTakeAsync(connection, Lock, cancellationToken);
        if (held is null)
            return;

        var report = await new Verifier(_database).VerifyAsync(TimeSpan.FromSeconds(_options.MaxPendingSeconds), MaxRows, cancellationToken);
        var last = new LastRun(report.At, report.Failures(CheckKind.Money), report.Failures(CheckKind.Liveness));
        await StoreAsync(connection, report, last, cancellationToken);
        _last = last;
        if (report.IsClean)
            LogClean(report.Accounts, report.Transactions, report.Entries, report.Took.TotalSeconds);
        foreach (var (check, broken, rows) in report.Results.Where(result => result.Broken > 0))
        {
            if (check.Kind == CheckKind.Money)
                LogBroken(check.Rule, broken, string.Join("; ", rows));
            else
                LogWaiting(check.Rule, broken, string.Join("; ", rows));
        }
    }

    private async Task<LastRun?> LastAsync(CancellationToken cancellationToken)
    {
        await using var command = _database.CreateCommand("select at, money_failures, liveness_failures from ledger.verifications order by id desc limit 1");
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken) ? new LastRun(reader.GetDateTime(0), reader.GetInt64(1), reader.GetInt64(2)) : null;
    }

    private static async Task StoreAsync(NpgsqlConnection connection, VerificationReport report, LastRun run, CancellationToken cancellationToken)
    {
        var broken = report.Results.Where(result => result.Broken > 0).ToDictionary(result => result.Check.Name, result => result.Rows);
        await using var insert = new NpgsqlCommand("""
            with verified as (update ledger.verified set number = $8 where number < $8)
            insert into ledger.verifications (at, took, accounts, transactions, entries, money_failures, liveness_failures, report, sequence)
            values ($1, $2, $3, $4, $5, $6, $10, $7, $9)
            """, connection)
        {
            Parameters =
            {
                new() { Value = report.At },
                new() { Value = report.Took },
                new() { Value = report.Accounts },
                new() { Value = report.Transactions },
                new() { Value = report.Entries },
                new() { Value = run.MoneyFailures },
                new() { Value = JsonSerializer.Serialize(broken), NpgsqlDbType = NpgsqlDbType.Json },
                new() { Value = report.Journal.SoundBlock },
                new() { Value = report.Journal.Sequence },
                new() { Value = run.LivenessFailures },
            },
        };
        await insert.ExecuteNonQueryAsync(cancellationToken);
    }

    private sealed record LastRun(DateTime At, long MoneyFailures, long LivenessFailures);

    [LoggerMessage(LogLevel.Information, "Verified {Accounts} accounts, {Transactions} transactions and {Entries} entries in {Seconds:0.0} s: every rule holds")]
    private partial void LogClean(long accounts, long transactions, long entries, double seconds);

    [LoggerMessage(LogLevel.Critical, "The books break a rule in {Count} places. {Rule} Found: {Rows}")]
    private partial void LogBroken(string rule, long count, string rows);

    [LoggerMessage(LogLevel.Warning, "Commands are not decided in {Count} cases. {Rule} Found: {Rows}")]
    private partial void LogWaiting(string rule, long count, string rows);
}
