using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;
using Ledger.Worker.Posting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Ledger.Tests.Journal;

/// <summary><c>GET /admin/journal/{sequence}/proof</c>: a client recomputes a block from it, as docs/journal.md describes it.</summary>
public sealed class JournalProofTests(LedgerSystem system)
{
    [Theory]
    [InlineData(Roles.Operator)]
    [InlineData(Roles.Auditor)]
    public async Task The_hash_of_the_block_is_recomputed_from_the_proof_and_changes_with_the_transaction(string role)
    {
        var key = (await system.NewStaffAsync(role)).Token;
        var user = await system.NewUserAsync();
        var market = await Market.OpenAsync(await system.DatabaseAsync(), users: 0);
        var deposits = Enumerable.Range(0, 12).Select(_ => market.Deposit(user.Id, 100)).ToArray();
        // Transactions of one commit are sealed in one block.
        await using (var poster = new BatchPoster(market.Database, Options.Create(new WorkerOptions()), NullLogger<BatchPoster>.Instance))
            await poster.PostAsync(deposits, CancellationToken.None);
        foreach (var deposit in deposits.Select(command => command.Id))
        {
            long sequence = 0;
            await Eventually.TrueAsync(async () => long.TryParse(
                (await user.TransactionAsync(deposit)).MustBe(200).Json.GetProperty("sequence").ToString(), CultureInfo.InvariantCulture, out sequence));

            var proof = (await user.Api.GetAsync($"admin/journal/{sequence}/proof", key)).MustBe(200).Json;

            var block = proof.GetProperty("block");
            Assert.Equal((sequence, deposit), (proof.GetProperty("sequence").GetInt64(), proof.GetProperty("transactionId").GetGuid()));
            Assert.InRange(block.GetProperty("last").GetInt64() - block.GetProperty("first").GetInt64() + 1, deposits.Length, long.MaxValue);
            Assert.Equal(sequence - block.GetProperty("first").GetInt64(), proof.GetProperty("before").GetArrayLength());
            Assert.Equal(block.GetProperty("last").GetInt64() - sequence, proof.GetProperty("after").GetArrayLength());
            Assert.True(block.GetProperty("sealedAt").GetDateTime() > DateTime.UtcNow.AddMinutes(-5));
            var digest = proof.GetProperty("digest").GetString()!;
            Assert.Equal(await Books.TextsAsync(await system.DatabaseAsync(), "select encode(digest, 'hex') from ledger.transactions where id = $1", deposit), [digest]);
            Assert.Equal(block.GetProperty("hash").GetString(), HashOf(proof, digest));
            Assert.NotEqual(block.GetProperty("hash").GetString(), HashOf(proof, digest[..^1] + (digest[^1] == '0' ? '1' : '0')));
        }
    }

    [Theory]
    [InlineData("0")]
    [InlineData("-1")]
    [InlineData("9223372036854775807")]
    [InlineData("9223372036854775808")]
    [InlineData("first")]
    public async Task A_sequence_that_is_not_sealed_is_not_found(string sequence) =>
        (await (await system.ApiAsync()).GetAsync($"admin/journal/{sequence}/proof", (await system.NewStaffAsync(Roles.Auditor)).Token)).MustBe(404, "not_found");

    private static string HashOf(JsonElement proof, string digest)
    {
        var block = proof.GetProperty("block");
        var header = Encoding.UTF8.GetBytes($"ledger block 1\n{block.GetProperty("number")}\n{block.GetProperty("first")}\n{block.GetProperty("last")}\n");
        string[] digests =
        [
            block.GetProperty("previous").GetString()!, .. proof.GetProperty("before").EnumerateArray().Select(item => item.GetString()!), digest,
            .. proof.GetProperty("after").EnumerateArray().Select(item => item.GetString()!),
        ];
        return Convert.ToHexStringLower(SHA256.HashData([.. header, .. Convert.FromHexString(string.Concat(digests))]));
    }
}
