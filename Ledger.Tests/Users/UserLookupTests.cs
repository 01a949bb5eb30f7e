using Ledger.Api.Users;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Users;

/// <summary>Users are named by id, e-mail address or external id.</summary>
public sealed class UserLookupTests(LedgerSystem system)
{
    [Theory]
    [InlineData("019a0000-0000-7000-8000-000000000001", null, false)]
    [InlineData("Alice@Example.com", "ALICE@EXAMPLE.COM", false)]
    [InlineData("customer-17", "customer-17", true)]
    [InlineData("3fa85f64-5717-4562-b3fc-2c963f66afa6", "3fa85f64-5717-4562-b3fc-2c963f66afa6", true)]
    [InlineData("019a00000000700080000000000000aa", "019a00000000700080000000000000aa", true)]
    [InlineData("alice@", "alice@", true)]
    public void Form_of_a_text_tells_what_it_names(string text, string? name, bool isExternalId)
    {
        Assert.Null(UserLookup.ErrorOf(text));
        Assert.Equal(name, UserLookup.NameIn(text));
        Assert.Equal(isExternalId, UserFields.ExternalIdError(text) is null);
    }

    [Fact]
    public void Text_that_is_empty_or_too_long_or_has_control_characters_names_no_user()
    {
        Assert.All([new string('x', 256), "", "a\0b", "a\nb"], text => Assert.True(UserLookup.ErrorOf(text) is not null && UserFields.ExternalIdError(text) is not null));
        Assert.Null(UserFields.ExternalIdError(new string('x', 255)));
    }

    [Fact]
    public async Task User_transfers_to_an_external_id_and_a_retry_means_the_same_after_the_id_is_given()
    {
        var (sender, recipient) = (await system.NewUserAsync("10.00"), await system.NewUserAsync());
        var external = Guid.NewGuid().ToString();

        var rejected = (await sender.TransferAsync(external, "1.00", key: "before")).MustBe(422, "recipient_unknown");
        await Books.ExecuteAsync(await system.DatabaseAsync(), "update identity.users set external_id = $2 where id = $1", recipient.Id, external);
        var again = (await sender.TransferAsync(external, "1.00", key: "before")).MustBe(422, "recipient_unknown");
        var posted = (await sender.TransferAsync(external, "2.00", key: "after")).MustBe(201);
        var byId = (await sender.TransferAsync(recipient.Id.ToString(), "2.00", key: "after")).MustBe(201);

        Assert.Equal((true, rejected.TransactionId), (again.IsReplay, again.TransactionId));
        Assert.Equal((true, posted.TransactionId), (byId.IsReplay, byId.TransactionId));
        Assert.Equal((8m, 2m), (await sender.BalanceAsync(), await recipient.BalanceAsync()));
    }

    [Fact]
    public async Task External_id_that_moves_to_another_user_is_followed()
    {
        var (sender, first, second) = (await system.NewUserAsync("10.00"), await system.NewUserAsync(), await system.NewUserAsync());
        var (database, external) = (await system.DatabaseAsync(), Guid.NewGuid().ToString());
        await Books.ExecuteAsync(database, "update identity.users set external_id = $2 where id = $1", first.Id, external);
        (await sender.TransferAsync(external, "1.00")).MustBe(201);

        await Books.ExecuteAsync(database, "update identity.users set external_id = null where id = $1", first.Id);
        await Books.ExecuteAsync(database, "update identity.users set external_id = $2 where id = $1", second.Id, external);

        (await sender.TransferAsync(external, "2.00")).MustBe(201);
        Assert.Equal((1m, 2m), (await first.BalanceAsync(), await second.BalanceAsync()));
    }
}
