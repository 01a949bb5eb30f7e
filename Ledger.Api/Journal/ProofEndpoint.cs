using Ledger.Api.Errors;
using Ledger.Api.Identity;
using Ledger.Core.Journal;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace Ledger.Api.Journal;

/// <summary>What shows that a transaction has its place in the journal.</summary>
internal static class ProofEndpoint
{
    public static void MapJournalProof(this IEndpointRouteBuilder routes) => routes.MapAdministration(Policies.Staff)
        .MapGet("/journal/{sequence:long}/proof", GetAsync).WithName("GetJournalProof")
        .WithSummary("Get the proof of a transaction's place in the journal")
        .WithDescription("SHA-256 over the block's header, `previous`, the digests in `before`, `digest` and the digests in `after` is the block's `hash`. "
            + "404 for a sequence that is not sealed.")
        .ProducesProblem(StatusCodes.Status404NotFound);

    private static async Task<Results<Ok<JournalProofResponse>, ProblemHttpResult>> GetAsync(
        HttpContext context, long sequence, NpgsqlDataSource database, CancellationToken cancellationToken) =>
        await JournalProof.ReadAsync(database, context.Caller().Id, sequence, cancellationToken) is { } proof
            ? TypedResults.Ok(JournalProofResponse.Of(proof))
            : Problem.NotFound(context);
}

/// <summary>A transaction's place in the journal. Digests and hashes are SHA-256 in lower-case hexadecimal digits.</summary>
/// <param name="Digest">Of the transaction and its entries.</param>
/// <param name="Before">The digests that stand before it in its block, in order.</param>
/// <param name="After">The digests that stand behind it in its block, in order.</param>
public sealed record JournalProofResponse(
    long Sequence, Guid TransactionId, string Digest, JournalBlockResponse Block, IReadOnlyList<string> Before, IReadOnlyList<string> After)
{
    public static JournalProofResponse Of(JournalProof proof)
    {
        var block = proof.Block;
        return new JournalProofResponse(
            proof.Sequence, proof.TransactionId, Convert.ToHexStringLower(proof.Digest),
            new JournalBlockResponse(block.Number, block.First, block.Last, block.SealedAt, Convert.ToHexStringLower(block.Previous), Convert.ToHexStringLower(block.Hash)),
            [.. proof.Before.Select(digest => Convert.ToHexStringLower(digest))], [.. proof.After.Select(digest => Convert.ToHexStringLower(digest))]);
    }
}

/// <summary>A block of the journal.</summary>
/// <param name="First">Its first sequence.</param>
/// <param name="Last">Its last sequence.</param>
/// <param name="Previous">The hash of the block before it; zeros in the first block.</param>
public sealed record JournalBlockResponse(long Number, long First, long Last, DateTime SealedAt, string Previous, string Hash);
