using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace Ledger.Core.Persistence;

/// <summary>A migration that runs the embedded SQL file of its id. It cannot be reverted; a later migration corrects it.</summary>
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

[DbContext(typeof(LedgerDbContext)), Migration("0003_access")]
internal sealed class AccessMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0004_holds")]
internal sealed class HoldsMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0005_journal")]
internal sealed class JournalMigration : SqlMigration;

[DbContext(typeof(LedgerDbContext)), Migration("0006_webhooks")]
internal sealed class WebhooksMigration : SqlMigration;
