using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace Ledger.Core.Persistence;

/// <summary>A migration that is the embedded SQL file of its own id. There is no way back down: mend forward.</summary>
public abstract class SqlMigration : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder)
    {
        var id = GetType().GetCustomAttributes(typeof(MigrationAttribute), inherit: false).Cast<MigrationAttribute>().Single().Id;
        using var file = typeof(SqlMigration).Assembly.GetManifestResourceStream($"{id}.sql")
            ?? throw new InvalidOperationException($"Migration {id} has no SQL file.");
        using var reader = new StreamReader(file);
        migrationBuilder.Sql(reader.ReadToEnd());
    }
}

[DbContext(typeof(LedgerDbContext)), Migration("0001_identity")]
internal sealed class IdentityMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0002_ledger")]
internal sealed class LedgerMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0003_verifications")]
internal sealed class VerificationsMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0004_access")]
internal sealed class AccessMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0005_audit_retention")]
internal sealed class AuditRetentionMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0006_transactions_by_decision")]
internal sealed class TransactionsByDecisionMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0007_attempts")]
internal sealed class AttemptsMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0008_check_entries")]
internal sealed class CheckEntriesMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0009_entries_move_balances")]
internal sealed class EntriesMoveBalancesMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0010_worker_writes_its_own")]
internal sealed class WorkerWritesItsOwnMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0011_entries_in_order")]
internal sealed class EntriesInOrderMigration : SqlMigration;
