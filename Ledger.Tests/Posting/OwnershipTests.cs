using Ledger.Core.Posting;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Posting;

/// <summary>What the engine makes of a command that the API should never have let through.</summary>
public sealed class OwnershipTests(LedgerSystem system)
{
    [Theory]
    [InlineData(TransactionKind.Withdrawal)]
    [InlineData(TransactionKind.Transfer)]
    public async Task Whoever_is_not_the_owner_debits_nothing(TransactionKind kind)
    {
        var (owner, caller) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());

        var decision = await PostAsync(kind, owner, caller.Id, kind == TransactionKind.Transfer ? caller.Id : null);

        Assert.Equal(RejectionCodes.Forbidden, decision.Outcome!.Rejection!.Value.Code);
        Assert.Equal((10m, 0m), (await owner.BalanceAsync(), await caller.BalanceAsync()));
    }

    [Fact]
    public async Task A_deposit_on_behalf_of_the_owner_says_whose_act_it_was()
    {
        var (owner, caller) = (await system.NewUserAsync(), Guid.CreateVersion7());

        var decision = await PostAsync(TransactionKind.Deposit, owner, caller, null);

        Assert.Equal(TransactionStatus.Posted, decision.Outcome!.Status);
        Assert.Equal(1, await Books.NumberAsync(
            await system.DatabaseAsync(), "select count(*) from ledger.transactions where id = $1 and caller_id = $2", decision.TransactionId, caller));
    }

    private async Task<Decision> PostAsync(TransactionKind kind, LedgerUser owner, Guid caller, Guid? recipient)
    {
        await using var connection = await (await system.DatabaseAsync()).OpenConnectionAsync();
        var command = new Command
        {
            Id = Guid.CreateVersion7(),
            Kind = kind,
            OwnerId = owner.Id,
            CallerId = caller,
            RecipientId = recipient,
            Currency = "USD",
            Amount = 100,
            CreatedAt = DateTime.UtcNow,
        };
        return Assert.Single(await new PostingEngine().PostAsync(connection, [command], CancellationToken.None));
    }
}
