using Ledger.Core.Currencies;
using Ledger.Core.Identity;
using Ledger.Core.Persistence;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>The engine checks again whether a caller may move a user's money, in case the API fails to.</summary>
public sealed class OwnershipTests(LedgerSystem system)
{
    [Theory]
    [InlineData(TransactionKind.Withdrawal)]
    [InlineData(TransactionKind.Transfer)]
    [InlineData(TransactionKind.Deposit)]
    public async Task Caller_without_the_right_cannot_move_a_users_money(TransactionKind kind)
    {
        var (owner, caller) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());
        var closed = await system.NewServiceAsync(Scopes.Transactions);
        await Books.ExecuteAsync(await system.DatabaseAsync(), "update identity.services set closed_at = clock_timestamp() where id = $1", closed.Id);
        Guid[] callers =
        [
            caller.Id, Guid.CreateVersion7(), (await system.NewStaffAsync(Roles.Auditor)).Id, closed.Id, (await system.NewServiceAsync()).Id,
            (await system.NewServiceAsync(Scopes.Read, Scopes.Users, Scopes.Webhooks)).Id,
        ];

        foreach (var other in callers)
        {
            foreach (var key in new[] { null, $"{other}" })
            {
                var decision = await PostAsync(kind, owner, other, kind == TransactionKind.Transfer ? caller.Id : null, key);
                Assert.Equal(RejectionCodes.Forbidden, decision.Outcome!.Rejection!.Value.Code);
            }
        }
        Assert.Equal((10m, 0m), (await owner.BalanceAsync(), await caller.BalanceAsync()));
    }

    [Theory]
    [InlineData(TransactionKind.Withdrawal)]
    [InlineData(TransactionKind.Transfer)]
    [InlineData(TransactionKind.Deposit)]
    public async Task Command_of_a_service_account_or_operator_is_posted_and_records_its_caller(TransactionKind kind)
    {
        var (owner, recipient) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());

        foreach (var caller in new[] { (await system.NewServiceAsync(Scopes.Transactions)).Id, (await system.NewOperatorAsync()).Id })
        {
            foreach (var key in new[] { null, "k" })
            {
                var decision = await PostAsync(kind, owner, caller, kind == TransactionKind.Transfer ? recipient.Id : null, key);
                Assert.Equal(TransactionStatus.Posted, decision.Outcome!.Status);
                Assert.Equal(1, await Books.NumberAsync(
                    await system.DatabaseAsync(), "select count(*) from ledger.transactions where id = $1 and principal_id = $2", decision.TransactionId, caller));
            }
        }
    }

    // As the worker: it reads of services and roles only who may move money.
    private async Task<Decision> PostAsync(TransactionKind kind, LedgerUser owner, Guid caller, Guid? recipient, string? key)
    {
        await using var worker = await system.RoleAsync(DatabaseRoles.Worker);
        await using var connection = await worker.OpenConnectionAsync();
        var command = new Command
        {
            Id = Guid.CreateVersion7(),
            Kind = kind,
            OwnerId = owner.Id,
            PrincipalId = caller,
            RecipientId = recipient,
            IdempotencyKey = key,
            Amount = new Money(100, "USD"),
            CreatedAt = DateTime.UtcNow,
        };
        return Assert.Single(await new PostingEngine().PostAsync(connection, [command], CancellationToken.None));
    }
}
