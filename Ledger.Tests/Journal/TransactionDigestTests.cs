using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Ledger.Core.Currencies;
using Ledger.Core.Journal;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Journal;

/// <summary>The canonical form against the test vector of docs/journal.md, which the script in Python also computes.</summary>
public sealed partial class TransactionDigestTests
{
    [Fact]
    public void Digest_and_hash_equal_the_test_vector()
    {
        var vector = JsonElement.Parse(Block().Match(File.ReadAllText(Path.Combine(Repository.Root, "docs/journal.md"))).Groups[1].Value);
        var fields = vector.GetProperty("fields").EnumerateArray().Select(field => field.GetString()).ToArray();
        var transaction = new Transaction
        {
            Id = Guid.Parse(fields[0]!),
            Kind = fields[1]!,
            Status = TransactionStatus.Posted,
            PrincipalId = Guid.Parse(fields[3]!),
            OwnerId = Guid.Parse(fields[4]!),
            RecipientId = Guid.Parse(fields[5]!),
            Amount = new Money(long.Parse(fields[7]!, CultureInfo.InvariantCulture), fields[6]!),
            Reference = fields[8],
            Metadata = fields[9],
            Details = fields[10],
            CreatedAt = TimeOf(fields[11]!),
            DecidedAt = TimeOf(fields[12]!),
            EffectiveAt = TimeOf(fields[13]!),
            Reverses = Guid.Parse(fields[14]!),
            HoldId = Guid.Parse(fields[15]!),
            Entries = [.. vector.GetProperty("entries").EnumerateArray().Select(entry => new Entry(
                entry[0].GetGuid(), null, new Money(NumberOf(entry[2]), entry[1].GetString()!), NumberOf(entry[3])))],
        };

        var digest = TransactionDigest.Of(transaction);

        Assert.Equal(vector.GetProperty("digest").GetString(), Convert.ToHexStringLower(digest));
        Assert.Equal(vector.GetProperty("blockHash").GetString(), Convert.ToHexStringLower(JournalVerifier.HashOf(1, 1, 1, JournalVerifier.Genesis, digest)));
        // Everything counts.
        Transaction[] others =
        [
            transaction with { Reference = null }, transaction with { Reference = "" }, transaction with { Metadata = null }, transaction with { Entries = [transaction.Entries[0]] },
            transaction with { Amount = new Money(1250, "USD") }, transaction with { DecidedAt = transaction.DecidedAt!.Value.AddMicroseconds(1) },
            transaction with { Details = null }, transaction with { EffectiveAt = null }, transaction with { Reverses = null }, transaction with { HoldId = null },
            transaction with { Reverses = transaction.HoldId, HoldId = transaction.Reverses },
            transaction with { OwnerId = null }, transaction with { Status = TransactionStatus.Rejected }, transaction with { Failure = "x" },
        ];
        Assert.Equal(others.Length + 1, others.Append(transaction).Select(other => Convert.ToHexString(TransactionDigest.Of(other))).Distinct().Count());
    }

    private static DateTime TimeOf(string microseconds) => DateTime.UnixEpoch.AddMicroseconds(long.Parse(microseconds, CultureInfo.InvariantCulture));

    private static long NumberOf(JsonElement text) => long.Parse(text.GetString()!, CultureInfo.InvariantCulture);

    [GeneratedRegex("```json\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex Block();
}
