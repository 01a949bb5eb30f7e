using Ledger.Core.Identity;
using Ledger.Core.Persistence;
using Ledger.Tests.Harness;
using Ledger.Worker.Retention;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;

namespace Ledger.Tests.Audit;

/// <summary>Old sign-ins can be removed from the audit trail, and no other entries.</summary>
public sealed class AuditRetentionTests(LedgerSystem system)
{
    private static readonly HashSet<string> SignIns =
        [AuditActions.SignedIn, AuditActions.SignInFailed, AuditActions.SignedOut, AuditActions.RefreshReused, AuditActions.PasswordChanged];

    private static readonly string[] AllActions =
        [.. typeof(AuditActions).GetFields().Select(action => (string)action.GetRawConstantValue()!)];

    [Fact]
    public async Task Worker_removes_old_sign_ins_in_chunks_and_keeps_administrative_acts()
    {
        var database = await system.DatabaseAsync();
        var (old, younger) = ($"old {Guid.NewGuid()}", $"younger {Guid.NewGuid()}");
        foreach (var action in AllActions)
        {
            await WriteAsync(database, action, old, days: 401, times: 3);
            await WriteAsync(database, action, younger, days: 399, times: 3);
        }

        await using var worker = await system.RoleAsync(DatabaseRoles.Worker);
        var options = Options.Create(new AuditOptions { RemoveAtOnce = 2 });
        using var retention = new AuditRetention(worker, TimeProvider.System, options, NullLogger<AuditRetention>.Instance);
        await retention.StartAsync(TestContext.Current.CancellationToken);
        await Eventually.TrueAsync(async () => (await ActionsAsync(database, old)).All(entry => !SignIns.Contains(entry)));
        await retention.StopAsync(TestContext.Current.CancellationToken);

        Assert.Equal(AllActions.Except(SignIns).Order(), (await ActionsAsync(database, old)).Distinct().Order());
        Assert.Equal(3 * (AllActions.Length - SignIns.Count), (await ActionsAsync(database, old)).Count);
        Assert.Equal(3 * AllActions.Length, (await ActionsAsync(database, younger)).Count);
    }

    [Theory]
    [InlineData("89 days 23 hours 59 minutes")]
    [InlineData("0")]
    [InlineData("-1000 years")]
    public async Task Sign_in_is_kept_for_90_days_at_any_given_age(string age)
    {
        var database = await system.DatabaseAsync();
        var subject = $"recent {Guid.NewGuid()}";
        await WriteAsync(database, AuditActions.SignedIn, subject, days: 89, times: 1);
        await using var worker = await system.RoleAsync(DatabaseRoles.Worker);

        await RefusedAsync(PostgresErrorCodes.RestrictViolation, worker, $"select identity.remove_sign_ins('{age}', 1000)");

        Assert.Single(await ActionsAsync(database, subject));
    }

    [Fact]
    public async Task Sign_in_can_be_removed_after_90_days()
    {
        var database = await system.DatabaseAsync();
        var subject = $"due {Guid.NewGuid()}";
        await WriteAsync(database, AuditActions.SignedIn, subject, days: 91, times: 1);
        await WriteAsync(database, AuditActions.SignedIn, subject, days: 89, times: 1);
        await using var worker = await system.RoleAsync(DatabaseRoles.Worker);

        await Eventually.TrueAsync(async () => await Books.NumberAsync(worker, "select identity.remove_sign_ins('90 days', 1000)") == 0);

        Assert.Single(await ActionsAsync(database, subject));
    }

    [Theory]
    [InlineData(DatabaseRoles.Api, "select identity.remove_sign_ins('400 days', 1)")]
    [InlineData(DatabaseRoles.Api, "delete from identity.audit where at < now() - interval '10 years'")]
    [InlineData(DatabaseRoles.Worker, "delete from identity.audit where at < now() - interval '10 years'")]
    [InlineData(DatabaseRoles.Worker, "update identity.audit set at = now() - interval '10 years'")]
    [InlineData(DatabaseRoles.Worker, "insert into identity.audit (actor_kind, action) values ('anonymous', 'signed_in')")]
    [InlineData(DatabaseRoles.Worker, "select * from identity.audit")]
    [InlineData(DatabaseRoles.Worker, "alter table identity.audit disable trigger all")]
    [InlineData(DatabaseRoles.Worker, "create or replace function identity.refuse_early_removal() returns trigger language plpgsql as 'begin return old; end'")]
    public async Task Service_roles_cannot_change_the_audit_trail_otherwise(string role, string sql)
    {
        await using var database = await system.RoleAsync(role);

        await RefusedAsync(PostgresErrorCodes.InsufficientPrivilege, database, sql);
    }

    [Theory]
    [InlineData("delete from identity.audit where subject = $1")]
    [InlineData("update identity.audit set at = now() - interval '10 years' where subject = $1")]
    public async Task Owner_can_neither_remove_nor_backdate_a_recent_sign_in(string sql)
    {
        var database = await system.DatabaseAsync();
        var subject = $"recent {Guid.NewGuid()}";
        await WriteAsync(database, AuditActions.SignedIn, subject, days: 89, times: 1);

        await RefusedAsync(PostgresErrorCodes.RestrictViolation, database, sql, subject);

        Assert.Single(await ActionsAsync(database, subject));
    }

    private static Task<int> WriteAsync(NpgsqlDataSource database, string action, string subject, int days, int times) => Books.ExecuteAsync(database, """
        insert into identity.audit (at, actor_kind, action, subject)
        select clock_timestamp() - $3, 'anonymous', $1, $2 from generate_series(1, $4)
        """, action, subject, TimeSpan.FromDays(days), times);

    private static Task<IReadOnlyList<string>> ActionsAsync(NpgsqlDataSource database, string subject) =>
        Books.TextsAsync(database, "select action from identity.audit where subject = $1", subject);

    private static async Task RefusedAsync(string state, NpgsqlDataSource database, string sql, params object[] parameters) =>
        Assert.Equal(state, (await Assert.ThrowsAsync<PostgresException>(() => Books.ExecuteAsync(database, sql, parameters))).SqlState);
}
