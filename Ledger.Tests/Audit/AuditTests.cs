using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Audit;

/// <summary>The audit trail as operators and auditors read it.</summary>
public sealed class AuditTests(LedgerSystem system)
{
    [Fact]
    public async Task Successful_and_failed_sign_ins_are_recorded()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var user = await system.NewUserAsync();
        (await user.Api.PostAsync("identity/login", new { email = user.Email, password = "wrong password" })).MustBe(401);

        var actions = (await auditor.GetAsync($"admin/audit?subject={user.Id}")).MustBe(200).Json.GetProperty("items").EnumerateArray();

        Assert.Equal(["sign_in_failed", "signed_in"], actions.Select(act => act.GetProperty("action").GetString()));
    }
}
