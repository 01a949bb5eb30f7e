using Ledger.Core.Currencies;
using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>The engine checks the owner of a command again, in case the API fails to.</summary>
public sealed class OwnershipTests(LedgerSystem system)
{
    [Theory]
    [InlineData(TransactionKind.Withdrawal)]
    [InlineData(TransactionKind.Transfer)]
    public async Task Command_of_another_caller_cannot_debit_the_account(TransactionKind kind)
    {
        var (owner, caller) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());

        var decision = await PostAsync(kind, owner, caller.Id, kind == TransactionKind.Transfer ? caller.Id : null);

        Assert.Equal(RejectionCodes.Forbidden, decision.Outcome!.Rejection!.Value.Code);
        Assert.Equal((10m, 0m), (await owner.BalanceAsync(), await caller.BalanceAsync()));
    }

    [Fact]
    public async Task Deposit_on_behalf_of_the_owner_records_its_caller()
    {
        var (owner, caller) = (await system.NewUserAsync(), Guid.CreateVersion7());

        var decision = await PostAsync(TransactionKind.Deposit, owner, caller, null);

        Assert.Equal(TransactionStatus.Posted, decision.Outcome!.Status);
        Assert.Equal(1, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from ledger.transactions where id = $1 and principal_id = $2", decision.TransactionId, caller));
    }

    private async Task<Decision> PostAsync(TransactionKind kind, LedgerUser owner, Guid caller, Guid? recipient)
    {
        await using var connection = await (await system.DatabaseAsync()).OpenConnectionAsync();
        var command = new Command
        {
            Id = Guid.CreateVersion7(),
            Kind = kind,
            OwnerId = owner.Id,
            PrincipalId = caller,
            RecipientId = recipient,
            Amount = new Money(100, "USD"),
            CreatedAt = DateTime.UtcNow,
        };
        return Assert.Single(await new PostingEngine().PostAsync(connection, [command], CancellationToken.None));
    }
}
