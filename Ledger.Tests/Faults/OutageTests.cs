using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.Core.Verification;
using Ledger.Tests.Harness;
using Ledger.Tests.Messaging;
using Ledger.Tests.Monitoring;
using Npgsql;
using RabbitMQ.Client;

namespace Ledger.Tests.Faults;

/// <summary>What clients are told while something is away, and what becomes of it afterwards.</summary>
[Collection(nameof(Faults))]
public sealed class OutageTests(FaultSystem system)
{
    [Fact]
    public async Task Without_RabbitMQ_commands_are_recorded_and_readable_and_are_decided_when_it_is_back()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("10.00")).MustBe(201);
        await system.Processes.RabbitMq.KillAsync(restart: false);
        await system.NoticedAsync();

        var withdrawals = new List<Answer>();
        foreach (var prefer in (string?[])[null, "respond-async", "wait=1"])
            withdrawals.Add((await user.WithdrawAsync("4.00", key: $"k{prefer}", prefer: prefer)).MustBe(202));

        foreach (var answer in withdrawals)
        {
            Assert.Equal($"/api/v1/transactions/{answer.TransactionId}", answer.Location);
            Assert.Equal(answer.Text, (await user.At(system.Apis[1]).TransactionAsync(answer.TransactionId)).MustBe(200).Text);
        }
        // The same key stands for the recorded command; what has been decided before can still be read.
        Assert.Equal(withdrawals[0].TransactionId, (await user.WithdrawAsync("4.00", key: "k")).MustBe(202).TransactionId);
        (await user.WithdrawAsync("5.00", key: "k")).MustBe(422, "idempotency_key_reused");
        Assert.Equal(3, (await user.GetAsync("transactions?status=pending")).MustBe(200).Json.GetProperty("items").GetArrayLength());
        Assert.Equal(10, await user.BalanceAsync());

        await system.RecoveredAsync();
        // At once, not only when the relay sees that nothing has become of them: that takes half a minute.
        var decided = new List<string?>();
        foreach (var answer in withdrawals)
            decided.Add((await user.DecidedAsync(answer.TransactionId, TimeSpan.FromSeconds(20)))["status"]);
        Assert.Equal(["posted", "posted", "rejected"], decided.Order());
        Assert.Equal(2, await user.BalanceAsync());
        await Books.NothingPendingAsync(system.Database, FaultSystem.Recovery);
    }

    [Fact]
    public async Task Read_only_PostgreSQL_counts_as_unavailable_for_writes()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("10.00")).MustBe(201);
        await OnlyReadAsync("on");
        try
        {
            foreach (var prefer in (string[])["wait=1", "respond-async"])
                Unavailable(await user.DepositAsync("5.00", key: "k", prefer: prefer));
            (await user.GetAsync("balances")).MustBe(200);
        }
        finally
        {
            await OnlyReadAsync("off");
        }

        (await user.DepositAsync("5.00", key: "k")).MustBe(201);
        Assert.Equal(15, await user.BalanceAsync());

        async Task OnlyReadAsync(string value)
        {
            await Books.ExecuteAsync(system.Database, $"alter system set default_transaction_read_only = {value}");
            await Books.ExecuteAsync(system.Database, "select pg_reload_conf()");
            await Eventually.TrueAsync(async () => await Books.NumberAsync(
                system.Database, $"select count(*) where current_setting('default_transaction_read_only') = '{value}'") == 1, FaultSystem.Recovery);
        }
    }

    [Fact]
    public async Task Without_PostgreSQL_the_answer_is_503_and_the_same_key_posts_once_afterwards()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("10.00")).MustBe(201);
        await system.Processes.Postgres.KillAsync(restart: false);
        await system.NoticedAsync();
        var failed = await FailedAsync();

        foreach (var prefer in (string[])["wait=1", "respond-async"])
            Unavailable(await user.DepositAsync("5.00", key: "k", prefer: prefer));
        Assert.Equal(failed + 2, await FailedAsync());
        Unavailable(await user.GetAsync("balances"));
        Unavailable(await user.GetAsync("balances/USD"));
        Unavailable(await user.GetAsync("transactions"));
        Unavailable(await user.TransactionAsync(Guid.CreateVersion7()));
        Unavailable(await user.GetAsync("identity/me"));
        Unavailable(await user.Api.PostAsync("identity/login", new { email = user.Email, password = LedgerApi.Password }));
        Unavailable(await user.Api.PostAsync("identity/register", new { email = $"{Guid.NewGuid():N}@example.com", password = LedgerApi.Password }));
        // The process is alive all the same.
        (await user.Api.GetAsync("/alive")).MustBe(200);
        Assert.Equal(503, (await user.Api.GetAsync("/health")).Status);

        await system.RecoveredAsync();
        (await user.DepositAsync("5.00", key: "k")).MustBe(201);
        await Books.NothingPendingAsync(system.Database, FaultSystem.Recovery);
        Assert.Equal(15, await user.BalanceAsync());

        async Task<double> FailedAsync() => (await Scrape.OfAsync(system.Processes.Apis[0].Metrics!))[
            """ledger_command_duration_seconds_count{kind="deposit",outcome="failed"}"""] ?? 0;
    }

    [Fact]
    public async Task Without_PostgreSQL_the_queue_is_measured_and_pending_commands_are_not()
    {
        // More than the workers take before they acknowledge: 64 each.
        const int Messages = 200;
        await system.RecoveredAsync();
        var market = await Market.OpenAsync(system.Database, users: 1);
        await using var broker = await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString));
        await system.Processes.Postgres.KillAsync(restart: false);
        await system.NoticedAsync();

        for (var i = 0; i < Messages; i++)
            await broker.PublishAsync(market.Deposit(market.Users[0], 100));

        foreach (var worker in system.Processes.Workers)
        {
            (double? Depth, double? Pending, double? Age) seen = default;
            await Eventually.TrueAsync(
                async () =>
                {
                    var scrape = await Scrape.OfAsync(worker.Metrics!);
                    seen = (scrape["ledger_queue_depth"], scrape["ledger_pending_commands"], scrape["ledger_pending_oldest_age_seconds"]);
                    return seen is ( > 0, null, null);
                },
                otherwise: () => $"{worker.Name} reports {seen}.");
        }

        await system.RecoveredAsync();
        await Eventually.TrueAsync(async () => await market.BalanceAsync(market.Users[0]) == Messages * 100, FaultSystem.Recovery);
    }

    [Fact]
    public async Task API_that_starts_without_PostgreSQL_calls_no_token_invalid()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        await system.Processes.Postgres.KillAsync(restart: false);
        await system.Processes.Apis[0].KillAsync();
        await Eventually.TrueAsync(AliveAsync, FaultSystem.Recovery);

        // The keys that would tell are in the database. A client that is told 401 would log its user out.
        (await user.GetAsync("balances")).MustBe(503, "unavailable");
        (await user.DepositAsync("1.00")).MustBe(503, "unavailable");

        await system.RecoveredAsync();
        // Which sessions are revoked is asked once a second: until then the API cannot tell of any.
        await Eventually.TrueAsync(async () =>
        {
            var answer = await user.DepositAsync("1.00");
            Assert.True(answer.Status is 201 or 503, answer.Text);
            return answer.Status == 201;
        }, FaultSystem.Recovery);
        (await user.Api.GetAsync("balances", "not a token")).MustBe(401, "invalid_token");

        async Task<bool> AliveAsync()
        {
            try
            {
                return (await user.Api.GetAsync("/alive")).Status == 200;
            }
            catch (HttpRequestException)
            {
                return false;
            }
        }
    }

    [Fact]
    public async Task Without_a_worker_commands_wait_and_are_decided_by_the_next_one()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        await Task.WhenAll(system.Processes.Workers.Select(worker => worker.KillAsync(restart: false)));

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => user.DepositAsync("1.00", key: $"k{i}", prefer: "wait=1")));
        Assert.All(answers, answer => Assert.Equal(("pending", 202), (answer["status"], answer.Status)));

        await system.RecoveredAsync();
        foreach (var answer in answers)
            Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, FaultSystem.Recovery))["status"]);
        Assert.Equal(20, await user.BalanceAsync());
        await Books.NothingPendingAsync(system.Database, FaultSystem.Recovery);
    }

    [Fact]
    public async Task Suspended_worker_with_a_locked_account_does_not_block_the_others()
    {
        const string Worker = "application_name = 'Ledger.Worker'";
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("1.00")).MustBe(201);
        var stopped = system.Processes.Workers[0];
        var answers = new List<Answer>();
        try
        {
            // RabbitMQ gives commands to the workers in turn: until it was this one's, and it stands still with the lock that it waited for.
            await Eventually.TrueAsync(async () =>
            {
                stopped.Resume();
                await using (var connection = await system.Database.OpenConnectionAsync())
                await using (var transaction = await connection.BeginTransactionAsync())
                {
                    await using var locking = new NpgsqlCommand("select from ledger.accounts where owner_id = $1 for update", connection) { Parameters = { new() { Value = user.Id } } };
                    await locking.ExecuteNonQueryAsync();
                    answers.Add((await user.DepositAsync("1.00", prefer: "respond-async")).MustBe(202));
                    await Eventually.TrueAsync(async () => await Books.NumberAsync(
                        system.Database, $"select count(*) from pg_stat_activity where {Worker} and wait_event_type = 'Lock'") == 1);
                    stopped.Suspend();
                }
                var isStuck = false;
                await Eventually.TrueAsync(async () =>
                    (isStuck = await Books.NumberAsync(system.Database, $"select count(*) from pg_stat_activity where {Worker} and state = 'idle in transaction' and state_change < now() - interval '1 s'") == 1)
                    || (await user.TransactionAsync(answers[^1].TransactionId)).TransactionStatus == "posted");
                return isStuck;
            }, FaultSystem.Recovery);

            for (var i = 0; i < 2; i++)
                answers.Add((await user.DepositAsync("1.00", prefer: "respond-async")).MustBe(202));
            foreach (var answer in answers)
                Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, FaultSystem.Recovery))["status"]);
        }
        finally
        {
            stopped.Resume();
        }

        await system.RecoveredAsync();
        (await user.DepositAsync("1.00")).MustBe(201);
        Assert.Equal(2 + answers.Count, await user.BalanceAsync());
        await Books.MustBalanceAsync(system.Database);
    }

    [Fact]
    public async Task Suspended_API_with_open_transactions_does_not_block_the_others()
    {
        const string Api = "application_name = 'Ledger.Api'";
        await system.RecoveredAsync();
        var (user, frozen) = (await system.Apis[0].NewUserAsync(), await system.Apis[0].NewUserAsync());
        foreach (var one in (LedgerUser[])[user, frozen])
            (await one.DepositAsync("1.00")).MustBe(201);
        var admin = await system.Apis[0].NewUserAsync();
        Assert.Equal(0, (await system.Processes.RunCliAsync("operator", "create", "--email", admin.Email)).ExitCode);
        var token = (await system.Apis[0].PostAsync("identity/login", new { email = admin.Email, password = LedgerApi.Password })).MustBe(200)["accessToken"];
        var stopped = system.Processes.Apis[0];
        Task<Answer> recording, freezing;
        try
        {
            await using (var connection = await system.Database.OpenConnectionAsync())
            await using (var transaction = await connection.BeginTransactionAsync())
            {
                await using var gate = new NpgsqlBatch(connection)
                {
                    BatchCommands =
                    {
                        new("insert into ledger.idempotency_keys (principal_id, key, request_hash, transaction_id) values ($1, 'k', '\\x0101', $1)") { Parameters = { new() { Value = user.Id } } },
                        new("select from identity.sessions where user_id = $1 for update") { Parameters = { new() { Value = frozen.Id } } },
                    },
                };
                await gate.ExecuteNonQueryAsync();
                recording = user.DepositAsync("1.00", key: "k", prefer: "respond-async");
                freezing = system.Apis[0].PostAsync($"admin/users/{frozen.Id}/freeze", new { }, token);
                await CountAsync("wait_event_type = 'Lock'");
                stopped.Suspend();
            }
            // Now one has the key, and the other one the user with all its accounts.
            await CountAsync("state = 'idle in transaction'");

            var answers = await Task.WhenAll(
                user.At(system.Apis[1]).DepositAsync("1.00", key: "k", prefer: "wait=60"), frozen.At(system.Apis[1]).DepositAsync("1.00", prefer: "wait=60"));
            Assert.All(answers, answer => answer.MustBe(201));
        }
        finally
        {
            stopped.Resume();
        }

        // What PostgreSQL has undone is not promised.
        Unavailable(await recording);
        Unavailable(await freezing);
        await system.RecoveredAsync();
        Assert.True((await user.DepositAsync("1.00", key: "k")).MustBe(201).IsReplay);
        (await user.DepositAsync("1.00")).MustBe(201);
        Assert.Equal((3, 2), (await user.BalanceAsync(), await frozen.BalanceAsync()));
        (await system.Apis[0].PostAsync($"admin/users/{frozen.Id}/freeze", new { }, token)).MustBe(200);
        await Books.MustBalanceAsync(system.Database);

        Task CountAsync(string state) => Eventually.TrueAsync(async () =>
            await Books.NumberAsync(system.Database, $"select count(*) from pg_stat_activity where {Api} and {state}") == 2);
    }

    [Fact]
    public async Task Unreadable_pending_commands_become_dead_letters_once_and_their_neighbours_are_posted()
    {
        await system.RecoveredAsync();
        var market = await Market.OpenAsync(system.Database, users: 1);
        await using var broker = await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString));
        var deadLetters = await broker.DeadLettersAsync();
        var good = Enumerable.Range(0, 3).Select(_ => market.Deposit(market.Users[0], 100)).ToArray();
        // Two whose amount cannot be read.
        (Guid Id, string Text)[] unreadable = [.. Enumerable.Range(0, 2).Select(_ => good[0] with { Id = Guid.CreateVersion7() })
            .Select(command => (command.Id, Text(command).Replace("\"minorUnits\"", "\"units\":\"?\",\"minorUnits\":\"?\",\"was\"", StringComparison.Ordinal)))];

        await RecordAsync([(good[0].Id, Text(good[0])), .. unreadable, (good[1].Id, Text(good[1]))]);
        await Eventually.TrueAsync(async () => await PostedAsync(good[..2]) && await SetAsideAsync() == unreadable.Length, FaultSystem.Recovery);

        // Due once more, for all that time does to them; and so is one that came after them. When that is posted, they had their turn.
        await Books.ExecuteAsync(system.Database, "update ledger.pending_commands set due_at = now() where owner_id = $1", market.Users[0]);
        await RecordAsync([(good[2].Id, Text(good[2]))]);
        await Eventually.TrueAsync(() => PostedAsync(good[2..]), FaultSystem.Recovery);

        Assert.Equal(
            unreadable.Select(command => $$"""{"commands":[{{command.Text}}]}""").Order(StringComparer.Ordinal),
            deadLetters.Select(message => message.Text).Order(StringComparer.Ordinal));
        Assert.All(deadLetters, message => Assert.Equal("The pending command cannot be read.", message.Reason));
        Assert.Equal(300, await market.BalanceAsync(market.Users[0]));
        var report = await new Verifier(system.Database).VerifyAsync(TimeSpan.FromHours(1), 10, TestContext.Current.CancellationToken);
        var broken = Assert.Single(report.Results, result => result.Broken > 0);
        Assert.Equal(("pending-failed", unreadable.Length), (broken.Check.Name, broken.Broken));

        // What an operator does who has dealt with them.
        await Books.ExecuteAsync(system.Database, "delete from ledger.pending_commands where owner_id = $1", market.Users[0]);

        static string Text(Command command) => JsonSerializer.Serialize(command, MessageJson.Default.Command);

        Task<int> RecordAsync((Guid Id, string Text)[] commands) => Books.ExecuteAsync(
            system.Database, "insert into ledger.pending_commands (id, principal_id, owner_id, version, kind, created_at, command) select id, $1, $1, 1, 'deposit', now(), command::json from unnest($2, $3) c (id, command)",
            market.Users[0], commands.Select(command => command.Id).ToArray(), commands.Select(command => command.Text).ToArray());

        async Task<bool> PostedAsync(Command[] commands) => commands.Length == await Books.NumberAsync(
            system.Database, "select count(*) from ledger.transactions where id = any ($1) and status = 'posted'", commands.Select(command => command.Id).ToArray());

        Task<long> SetAsideAsync() => Books.NumberAsync(
            system.Database, "select count(*) from ledger.pending_commands where owner_id = $1 and failure is not null", market.Users[0]);
    }

    [Fact]
    public async Task Pending_command_that_reaches_a_worker_unreadable_becomes_a_dead_letter()
    {
        await system.RecoveredAsync();
        var market = await Market.OpenAsync(system.Database, users: 1);
        await using var broker = await Broker.ConnectAsync(new Uri(system.Processes.RabbitMqConnectionString));
        var deadLetters = await broker.DeadLettersAsync();
        var command = JsonSerializer.Serialize(market.Deposit(market.Users[0], 100), MessageJson.Default.Command).Replace("\"minorUnits\":100", "\"minorUnits\":\"?\"", StringComparison.Ordinal);
        // Recorded and in the queue, as after "Prefer: respond-async".
        await Books.ExecuteAsync(
            system.Database, "insert into ledger.pending_commands (id, principal_id, owner_id, version, kind, created_at, command, due_at) select ($2::json ->> 'id')::uuid, $1, $1, 1, 'deposit', now(), $2::json, clock_timestamp() + interval '1 hour'",
            market.Users[0], command);
        await broker.PublishAsync(Encoding.UTF8.GetBytes($$"""{"commands":[{{command}}]}"""));

        await Eventually.TrueAsync(
            async () => await Books.NumberAsync(system.Database, "select count(*) from ledger.pending_commands where owner_id = $1 and failure is not null", market.Users[0]) == 1,
            FaultSystem.Recovery);

        await Eventually.TrueAsync(() => Task.FromResult(!deadLetters.IsEmpty));
        Assert.Contains(command, Assert.Single(deadLetters).Text, StringComparison.Ordinal);
        await Books.ExecuteAsync(system.Database, "delete from ledger.pending_commands where owner_id = $1", market.Users[0]);
    }

    // RabbitMQ before 4.0 does not tell consumers of the second, and gives messages to them that it does not deliver.
    [Theory]
    [InlineData("deletes")]
    [InlineData("deletes and declares")]
    public async Task Deleted_command_queue_is_declared_and_consumed_again(string act)
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        await using (var connection = await new ConnectionFactory { Uri = new Uri(system.Processes.RabbitMqConnectionString) }.CreateConnectionAsync())
        await using (var channel = await connection.CreateChannelAsync())
        {
            await channel.QueueDeleteAsync(Topology.CommandQueue);
            if (act == "deletes and declares")
                await Topology.DeclareAsync(channel, TestContext.Current.CancellationToken);
        }

        // Until the queue is back, what clients send is recorded; none of it is lost.
        var answers = new List<Answer>();
        await Eventually.TrueAsync(async () =>
        {
            var answer = await user.DepositAsync("1.00", prefer: "wait=2");
            Assert.True(answer.Status is 201 or 202, answer.Text);
            answers.Add(answer);
            return answer.Status == 201;
        }, FaultSystem.Recovery);
        foreach (var answer in answers)
            Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, FaultSystem.Recovery))["status"]);
        Assert.Equal(answers.Count, await user.BalanceAsync());

        // RabbitMQ 3.10 keeps for minutes, or until its orderly end, in memory alone which files are the new queue's. Killed before
        // that, as other tests kill it, it has a queue that cannot be started.
        await system.Processes.RabbitMq.TerminateAsync(restart: false);
        await system.NoticedAsync();
        await system.RecoveredAsync();
    }

    [Fact]
    public async Task Command_queue_with_other_arguments_is_logged_once_and_declared_anew_when_it_is_deleted()
    {
        const string Line = "A queue or exchange exists with other arguments than this version declares; delete it";
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        await using var connection = await new ConnectionFactory { Uri = new Uri(system.Processes.RabbitMqConnectionString) }.CreateConnectionAsync();
        await using var channel = await connection.CreateChannelAsync();
        await channel.QueueDeleteAsync(Topology.CommandQueue);
        await channel.QueueDeclareAsync(Topology.CommandQueue, durable: true, exclusive: false, autoDelete: false);
        try
        {
            foreach (var worker in system.Processes.Workers)
            {
                await Eventually.TrueAsync(() => Task.FromResult(LinesOf(worker) > 0), FaultSystem.Recovery, () => $"{worker.Name} says nothing.");
                Assert.False(await worker.IsHealthyAsync());
            }
            // Some tries later.
            await Task.Delay(TimeSpan.FromSeconds(2));
            Assert.All(system.Processes.Workers, worker => Assert.Equal(1, LinesOf(worker)));
        }
        finally
        {
            await channel.QueueDeleteAsync(Topology.CommandQueue);
        }

        await Eventually.TrueAsync(async () => (await user.DepositAsync("1.00", prefer: "wait=2")).Status == 201, FaultSystem.Recovery);
        // As above.
        await system.Processes.RabbitMq.TerminateAsync(restart: false);
        await system.NoticedAsync();
        await system.RecoveredAsync();

        static int LinesOf(LedgerProcess worker) => worker.Tail(2000).Count(line => line.Contains(Line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task RabbitMQ_that_refuses_the_login_is_logged_once_with_the_option_and_used_when_it_accepts()
    {
        const string Line = "ConnectionStrings__messaging";
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("1.00")).MustBe(201);
        var (name, password) = new Uri(system.Processes.RabbitMqConnectionString).UserInfo.Split(':') is [var first, var second] ? (first, second) : default;
        await system.ControlRabbitMqAsync("change_password", name, "another");
        Answer answer;
        try
        {
            await system.ControlRabbitMqAsync("close_all_connections", "test");
            await ToldAsync(Line);
            await system.NoticedAsync();
            Assert.Equal("""{"status":"Unhealthy","checks":{"postgres":"Healthy","rabbitmq":"Unhealthy"}}""", (await user.Api.GetAsync("/health")).Text);
            answer = (await user.DepositAsync("1.00")).MustBe(202);
            await ToldOnceAsync(Line);
        }
        finally
        {
            await system.ControlRabbitMqAsync("change_password", name, password);
        }

        await system.RecoveredAsync();
        Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, FaultSystem.Recovery))["status"]);
        (await user.DepositAsync("1.00")).MustBe(201);
    }

    [Fact]
    public async Task PostgreSQL_that_refuses_the_login_is_logged_once_with_the_option_and_used_when_it_accepts()
    {
        const string Line = "ConnectionStrings__ledgerdb";
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        var password = new NpgsqlConnectionStringBuilder(system.Processes.PostgresConnectionString).Password!;
        await using (var connection = await system.Database.OpenConnectionAsync())
        {
            await ExecuteAsync("alter role postgres password 'another'");
            try
            {
                await ExecuteAsync("select pg_terminate_backend(pid) from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()");
                await ToldAsync(Line);
                await system.NoticedAsync();
                Assert.Equal("""{"status":"Unhealthy","checks":{"postgres":"Unhealthy","rabbitmq":"Healthy"}}""", (await user.Api.GetAsync("/health")).Text);
                Unavailable(await user.DepositAsync("1.00", key: "k", prefer: "respond-async"));
                await ToldOnceAsync(Line);
            }
            finally
            {
                await ExecuteAsync($"alter role postgres password '{password}'");
            }

            async Task ExecuteAsync(string sql)
            {
                await using var command = new NpgsqlCommand(sql, connection);
                await command.ExecuteNonQueryAsync();
            }
        }

        await system.RecoveredAsync();
        (await user.DepositAsync("1.00", key: "k")).MustBe(201);
        Assert.Equal(1, await user.BalanceAsync());
    }

    [Fact]
    public async Task Silent_RabbitMQ_is_noticed_by_idle_workers()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("1.00")).MustBe(201);
        Answer answer;
        system.Processes.RabbitMq.Suspend();
        try
        {
            answer = (await user.DepositAsync("1.00", prefer: "wait=1")).MustBe(202);
            foreach (var worker in system.Processes.Workers)
                await Eventually.TrueAsync(async () => !await worker.IsHealthyAsync(), FaultSystem.Recovery, () => $"{worker.Name} has not noticed.");
        }
        finally
        {
            system.Processes.RabbitMq.Resume();
        }

        await system.RecoveredAsync();
        Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, FaultSystem.Recovery))["status"]);
        (await user.DepositAsync("1.00")).MustBe(201);
    }

    [Fact]
    public async Task Full_command_queue_loses_nothing_and_is_logged_once()
    {
        const string Line = "RabbitMQ refuses commands";
        const int Refused = 10;
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        var api = system.Processes.Apis[0];
        var (told, deposits) = (LinesOf(api), 0);
        Answer last;
        await system.ControlRabbitMqAsync("set_policy", "full", $"^{Topology.CommandQueue}$", """{"max-length":3,"overflow":"reject-publish"}""", "--apply-to", "queues");
        try
        {
            foreach (var worker in system.Processes.Workers)
                worker.Suspend();
            // Beside what is in the queue there is what the workers have fetched.
            await Eventually.TrueAsync(async () =>
            {
                (await user.DepositAsync("1.00", prefer: "respond-async")).MustBe(202);
                deposits++;
                return LinesOf(api) > told;
            }, FaultSystem.Recovery);
            for (var i = 0; i < Refused; i++, deposits++)
                (await user.DepositAsync("1.00", prefer: "wait=30")).MustBe(202);
            Assert.Equal(told + 1, LinesOf(api));
            last = (await user.DepositAsync("1.00", prefer: "respond-async")).MustBe(202);
            deposits++;
        }
        finally
        {
            foreach (var worker in system.Processes.Workers)
                worker.Resume();
            await system.ControlRabbitMqAsync("clear_policy", "full");
        }

        // At once, not only when the relay sees that nothing has become of it: that takes half a minute.
        Assert.Equal("posted", (await user.DecidedAsync(last.TransactionId, TimeSpan.FromSeconds(20)))["status"]);
        await Books.NothingPendingAsync(system.Database, FaultSystem.Recovery);
        Assert.Equal(deposits, await user.BalanceAsync());
        await Books.MustBalanceAsync(system.Database);

        static int LinesOf(LedgerProcess process) => process.Tail(2000).Count(line => line.Contains(Line, StringComparison.Ordinal));
    }

    [Fact]
    public async Task RabbitMQ_low_on_memory_delays_no_client_and_delivers_its_messages_afterwards()
    {
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        (await user.DepositAsync("1.00")).MustBe(201);
        var answers = new List<Answer>();
        var start = 0L;
        await system.ControlRabbitMqAsync("set_vm_memory_high_watermark", "0.000001");
        try
        {
            // RabbitMQ tells none but those who publish; the first whose command is held up is answered at once all the same.
            await Eventually.TrueAsync(async () =>
            {
                start = Stopwatch.GetTimestamp();
                answers.Add(await user.DepositAsync("1.00", prefer: "wait=30"));
                return answers[^1].Status == 202;
            });
            foreach (var prefer in (string[])["wait=30", "respond-async"])
                answers.Add((await user.DepositAsync("1.00", prefer: prefer)).MustBe(202));
            // The alarm lasts until the test is done with it.
            Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 25);
            Assert.Equal(503, (await user.Api.GetAsync("/health")).Status);
            (await user.GetAsync("balances")).MustBe(200);
        }
        finally
        {
            await system.ControlRabbitMqAsync("set_vm_memory_high_watermark", "0.3");
        }

        foreach (var answer in answers)
            Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, TimeSpan.FromSeconds(20)))["status"]);
        await system.RecoveredAsync();
        (await user.DepositAsync("1.00")).MustBe(201);
        Assert.Equal(2 + answers.Count, await user.BalanceAsync());
    }

    [Fact]
    public async Task API_without_confirms_reports_it_and_recovers_by_itself()
    {
        // As where a quorum queue has lost its leader, and most of its members.
        const string Queue = "list_to_atom(\"%2F_ledger.commands\")";
        await system.RecoveredAsync();
        var user = await system.Apis[0].NewUserAsync();
        await system.ControlRabbitMqAsync("eval", $"sys:suspend({Queue}).");
        Answer answer;
        try
        {
            answer = (await user.DepositAsync("1.00", prefer: "wait=1")).MustBe(202);
            await Eventually.TrueAsync(async () => !await system.Processes.Apis[0].IsHealthyAsync(), FaultSystem.Recovery, () => "The API finds nothing amiss.");
            // From now on nobody waits in vain.
            var start = Stopwatch.GetTimestamp();
            (await user.DepositAsync("1.00", prefer: "wait=60")).MustBe(202);
            Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, 0, 30);
        }
        finally
        {
            await system.ControlRabbitMqAsync("eval", $"sys:resume({Queue}).");
        }

        await system.RecoveredAsync();
        Assert.Equal("posted", (await user.DecidedAsync(answer.TransactionId, FaultSystem.Recovery))["status"]);
        (await user.DepositAsync("1.00")).MustBe(201);
        await Eventually.TrueAsync(async () => await user.BalanceAsync() == 3, FaultSystem.Recovery);
    }

    private Task ToldAsync(string what) => Eventually.TrueAsync(
        () => Task.FromResult(Services.All(service => LinesOf(service, what).Any())), FaultSystem.Recovery,
        () => $"Only {string.Join(", ", Services.Where(service => LinesOf(service, what).Any()).Select(service => service.Name))} told.");

    // And nobody says besides, at each probe, that it is not healthy.
    private async Task ToldOnceAsync(string what)
    {
        // Some tries later.
        await Task.Delay(TimeSpan.FromSeconds(2));
        foreach (var service in Services)
        {
            Assert.All(LinesOf(service, what).CountBy(line => line), line => Assert.True(line.Value == 1, $"{service.Name}, {line.Value} times: {line.Key}"));
            Assert.Empty(LinesOf(service, "Health check"));
        }
    }

    private IEnumerable<LedgerProcess> Services => system.Processes.Apis.Concat(system.Processes.Workers);

    private static IEnumerable<string> LinesOf(LedgerProcess process, string what) => process.Tail(2000).Where(line => line.Contains(what, StringComparison.Ordinal));

    private static void Unavailable(Answer answer)
    {
        answer.MustBe(503, "unavailable");
        Assert.NotNull(answer.Headers.RetryAfter);
    }
}
