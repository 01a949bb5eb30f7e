using Ledger.Core.Currencies;
using Ledger.Core.Journal;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Core.Verification;
using Ledger.Tests.Harness;
using Npgsql;

namespace Ledger.Tests.Verification;

/// <summary>Each rule of the verifier is broken on purpose, in a database of its own, and must be the one that is found.</summary>
public sealed class VerifierTests(VerifierTests.SoundBooks sound) : IClassFixture<VerifierTests.SoundBooks>
{
    private static readonly TimeSpan MaxPendingAge = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Sound_books_break_no_rule()
    {
        var report = await VerifyAfterAsync("select 1");

        Assert.True(report.IsClean);
        Assert.Equal(3, report.Transactions);
        Assert.Equal(4, report.Entries);
        Assert.Equal([.. Check.All, JournalVerifier.Chain, JournalVerifier.Digest], report.Results.Select(result => result.Check));
    }

    [Theory]
    [InlineData("update ledger.entries set amount = amount + 1 where amount > 0 and balance_after is null",
        "sum-per-currency", "sum-per-transaction", "posted-is-sum", "right-entries", "journal-digest")]
    [InlineData("""
        update ledger.entries set amount = amount + 1 where id = (select min(id) from ledger.entries where balance_after is null);
        update ledger.entries set amount = amount - 1 where id = (select max(id) from ledger.entries where balance_after is null);
        update ledger.accounts a set posted = e.sum from (select account_id, sum(amount) from ledger.entries group by 1) e
        where e.account_id = a.id and a.kind = 'settlement'
        """, "sum-per-transaction", "right-entries", "journal-digest")]
    [InlineData("update ledger.accounts set posted = posted + 1 where kind = 'settlement' and currency = 'JPY' and shard = 3", "posted-is-sum")]
    [InlineData("update ledger.accounts set posted = posted + 1 where kind = 'user'", "posted-is-sum", "last-balance")]
    [InlineData("update ledger.entries set balance_after = balance_after + 1 where balance_after is not null", "last-balance", "running-balance", "journal-digest")]
    [InlineData("update ledger.entries set balance_after = amount where balance_after is null", "running-balance", "journal-digest")]
    [InlineData("update ledger.accounts set held = posted + 1 where kind = 'user'", "held-is-sum", "within-limit")]
    [InlineData("update ledger.accounts set held = -1 where kind = 'settlement' and shard = 0 and currency = 'JPY'", "held-is-sum", "within-limit")]
    [InlineData("""
        insert into ledger.holds (id, account_id, principal_id, currency, amount, remaining, created_at, expires_at)
        select gen_random_uuid(), id, gen_random_uuid(), 'JPY', 5, 5, now(), now() + interval '1 day' from ledger.accounts where kind = 'user'
        """, "held-is-sum")]
    [InlineData("update ledger.transactions set account_ids = array[account_ids[1]] where status = 'posted'", "known-transaction", "journal-digest")]
    [InlineData("update ledger.transactions set decided_at = now() + interval '1 hour' where status = 'rejected'", "not-in-the-future", "journal-digest")]
    [InlineData("update ledger.entries set posted_at = posted_at + interval '1 microsecond'", "known-transaction", "journal-digest")]
    [InlineData("update ledger.transactions set reference = 'x' where status = 'rejected'", "journal-digest")]
    [InlineData("update ledger.journal set sequence = sequence + 100", "journal-chain")]
    [InlineData("""
        create temp table before as select * from ledger.journal;
        delete from ledger.journal;
        insert into ledger.journal select case sequence when 1 then 2 when 2 then 1 else sequence end, transaction_id, owner_id from before
        """, "journal-chain")]
    [InlineData("update ledger.blocks set hash = previous where number = 1", "journal-chain")]
    [InlineData("delete from ledger.blocks where number = 1", "journal-chain")]
    [InlineData("update ledger.transactions set amount = amount + 1 where status = 'posted'", "right-entries", "journal-digest")]
    [InlineData("update ledger.transactions set owner_id = gen_random_uuid() where kind = 'withdrawal' and status = 'posted'", "right-entries", "journal-digest")]
    [InlineData("update ledger.transactions set status = 'rejected', rejection = 'x', account_ids = '{}' where status = 'posted'", "right-entries", "known-transaction", "journal-digest")]
    [InlineData("delete from ledger.transactions where kind = 'withdrawal' and status = 'posted'", "known-transaction", "journal-chain", "journal-digest")]
    [InlineData("update ledger.accounts set currency = 'EUR' where kind = 'user'", "known-transaction")]
    [InlineData("update ledger.idempotency_keys set transaction_id = gen_random_uuid()", "known-key")]
    [InlineData("update ledger.idempotency_keys set principal_id = gen_random_uuid()", "known-key")]
    [InlineData("insert into ledger.pending_commands (id, principal_id, version, kind, created_at, command, recorded_at) values (gen_random_uuid(), gen_random_uuid(), 1, 'deposit', now(), '{}', now() - interval '61 seconds')", "pending-age")]
    [InlineData("insert into ledger.pending_commands (id, principal_id, version, kind, created_at, command, failure, failed_at, ends_at) values (gen_random_uuid(), gen_random_uuid(), 1, 'deposit', now(), '{}', 'no batch could post it', now(), now())", "pending-failed")]
    public async Task A_broken_rule_is_found(string breach, params string[] broken)
    {
        var report = await VerifyAfterAsync(breach);

        Assert.False(report.IsClean);
        Assert.Equal(broken, report.Results.Where(result => result.Broken > 0).Select(result => result.Check.Name));
        Assert.All(report.Results.Where(result => result.Broken > 0), result => Assert.NotEmpty(result.Rows));
    }

    /// <summary>A command that failed or waits must not look like wrong books, and wrong books not like a command that waits.</summary>
    [Theory]
    [InlineData(FailedCommand, 0, 1, 3, "the books are right")]
    [InlineData(WrongBalance, 2, 0, 1, "MONEY RULES ARE BROKEN")]
    [InlineData($"{FailedCommand}; {WrongBalance}", 2, 1, 1, "MONEY RULES ARE BROKEN")]
    [InlineData("select 1", 0, 0, 0, "every rule holds")]
    public async Task Money_and_liveness_are_counted_apart_and_have_exit_codes_of_their_own(string breach, long money, long liveness, int exitCode, string summary)
    {
        await using var database = await BrokenAsync(breach);

        var report = await new Verifier(database).VerifyAsync(MaxPendingAge, 10, TestContext.Current.CancellationToken);
        var verify = await Tool.RunAsync("ledger", ["verify"], new Dictionary<string, string?> { ["ConnectionStrings__ledgerdb"] = await sound.ConnectionStringAsync(database) });

        Assert.Equal((money, liveness), (report.Failures(CheckKind.Money), report.Failures(CheckKind.Liveness)));
        Assert.Equal(exitCode, verify.ExitCode);
        Assert.Contains(summary, verify.Output[^1], StringComparison.Ordinal);
    }

    private const string WrongBalance = "update ledger.accounts set posted = posted + 1 where kind = 'user'";
    private const string FailedCommand = """
        insert into ledger.pending_commands (id, principal_id, version, kind, created_at, command, failure, failed_at, ends_at)
        values (gen_random_uuid(), gen_random_uuid(), 1, 'deposit', now(), '{}', 'no batch could post it', now(), now())
        """;

    [Fact]
    public async Task All_violations_are_counted_and_the_requested_number_is_listed()
    {
        var report = await VerifyAfterAsync("update ledger.accounts set held = -1 where kind = 'settlement' and currency = 'JPY'", maxRows: 2);

        var broken = Assert.Single(report.Results, result => result.Check.Name == "within-limit");
        Assert.Equal(PostingEngine.SettlementShards, broken.Broken);
        Assert.Equal(2, broken.Rows.Count);
    }

    [Fact]
    public async Task Command_that_waits_for_less_than_the_limit_breaks_no_rule() =>
        Assert.True((await VerifyAfterAsync("""
            insert into ledger.pending_commands (id, principal_id, version, kind, created_at, command, recorded_at) values (gen_random_uuid(), gen_random_uuid(), 1, 'deposit', now(), '{}', now() - interval '30 seconds')
            """)).IsClean);

    private async Task<VerificationReport> VerifyAfterAsync(string breach, int maxRows = 10)
    {
        await using var database = await BrokenAsync(breach);
        var report = await new Verifier(database).VerifyAsync(MaxPendingAge, maxRows, TestContext.Current.CancellationToken);
        // Pieces of any size find the same.
        var inPieces = await new Verifier(database, accountsPerPiece: 100).VerifyAsync(MaxPendingAge, maxRows, TestContext.Current.CancellationToken);
        Assert.Equal(report.Results.Select(result => (result.Check.Name, result.Broken, result.Rows.Count)), inPieces.Results.Select(result => (result.Check.Name, result.Broken, result.Rows.Count)));
        return report;
    }

    private async Task<NpgsqlDataSource> BrokenAsync(string breach)
    {
        var database = await sound.CopyAsync();
        // Replica: triggers do not fire and foreign keys are not checked. What the database itself forbids is allowed for once.
        await using (var connection = await database.OpenConnectionAsync(TestContext.Current.CancellationToken))
        await using (var command = new NpgsqlCommand($"set session_replication_role = replica; {breach}; reset session_replication_role", connection))
            await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        return database;
    }

    /// <summary>A deposit, a withdrawal and a rejected withdrawal, posted by the engine; and copies of that, to break.</summary>
    public sealed class SoundBooks(LedgerSystem system) : IAsyncLifetime
    {
        private string _original = "";
        public async ValueTask InitializeAsync()
        {
            using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(5));
            await using var database = await system.FreshLedgerAsync();
            _original = database.ConnectionString;
            await using var connection = await database.OpenConnectionAsync(deadline.Token);
            var owner = Guid.CreateVersion7();
            await using (var prepare = new NpgsqlCommand("""
                insert into identity.users (id, user_name, normalized_user_name, email, normalized_email, email_confirmed, security_stamp,
                    concurrency_stamp, phone_number_confirmed, two_factor_enabled, lockout_enabled, access_failed_count)
                values ($1, 'a@example.com', 'A@EXAMPLE.COM', 'a@example.com', 'A@EXAMPLE.COM', false, '', '', false, false, false, 0)
                """, connection) { Parameters = { new() { Value = owner } } })
                await prepare.ExecuteNonQueryAsync(deadline.Token);
            // The copies must be breakable beyond what a constraint lets through.
            await using (var loosen = new NpgsqlCommand("""
                alter table ledger.accounts drop constraint accounts_within_limit, drop constraint accounts_held_not_negative;
                alter table ledger.pending_commands drop constraint pending_commands_says_what_it_is
                """, connection))
                await loosen.ExecuteNonQueryAsync(deadline.Token);
            await new PostingEngine().PostAsync(connection, [
                Order(TransactionKind.Deposit, owner, 1_000, "deposit"),
                Order(TransactionKind.Withdrawal, owner, 400, null),
                Order(TransactionKind.Withdrawal, owner, 5_000, null),
            ], deadline.Token);
            // In two blocks. Transactions of other databases are under way, too, which hold the sealer up for a moment.
            while ((await Sealer.SealAsync(connection, 2, afterRestart: false, deadline.Token)).LastSequence != 3)
                await Task.Delay(10, deadline.Token);
        }

        /// <summary>Of a copy, with its password.</summary>
        public async Task<string> ConnectionStringAsync(NpgsqlDataSource copy) => new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync())
        {
            Database = new NpgsqlConnectionStringBuilder(copy.ConnectionString).Database,
        }.ConnectionString;

        public Task<NpgsqlDataSource> CopyAsync() => CopyAsync(system, _original);

        /// <summary>A copy of a database, to break.</summary>
        public static async Task<NpgsqlDataSource> CopyAsync(LedgerSystem system, string address)
        {
            var settings = new NpgsqlConnectionStringBuilder(await system.ConnectionStringAsync());
            var original = new NpgsqlConnectionStringBuilder(address).Database;
            var copy = $"test_{Guid.NewGuid():N}";
            // A database with open sessions cannot be copied.
            settings.Pooling = false;
            settings.Database = "postgres";
            await using (var connection = new NpgsqlConnection(settings.ConnectionString))
            {
                await connection.OpenAsync();
                await using var create = new NpgsqlCommand($"create database {copy} template {original}", connection);
                await create.ExecuteNonQueryAsync();
            }
            settings.Database = copy;
            return NpgsqlDataSource.Create(settings);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;

        private static Command Order(TransactionKind kind, Guid owner, long amount, string? key) => new()
        {
            Id = Guid.CreateVersion7(),
            Kind = kind,
            OwnerId = owner,
            PrincipalId = owner,
            Amount = new Money(amount, "JPY"),
            IdempotencyKey = key,
            CreatedAt = DateTime.UtcNow,
        };
    }
}
