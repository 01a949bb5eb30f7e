using FsCheck;
using FsCheck.Fluent;
using Microsoft.FSharp.Core;

namespace Ledger.Tests.Harness;

/// <summary>Laws that hold for whatever is generated. A failure names the smallest case found, and the seed.</summary>
public static class Law
{
    // The same cases in every run, so that a failure is the change's fault; LEDGER_TEST_SEED asks for others.
    private static readonly ulong Seed = ulong.TryParse(Environment.GetEnvironmentVariable("LEDGER_TEST_SEED"), out var seed) ? seed : 20_260_101;

    /// <summary>Checks a law for values of a generator.</summary>
    /// <param name="law">Returns, or throws what does not hold.</param>
    public static void Holds<T>(Gen<T> values, Action<T> law, int cases = 1000) => Check(Arb.From(values), law, cases);

    /// <summary>Checks a law for sequences, and looks for the shortest one that breaks it.</summary>
    public static void HoldsForSequences<T>(Gen<T> items, Action<T[]> law, int cases = 300) =>
        Check(Arb.From(items.ArrayOf(), sequence => Enumerable.Range(0, sequence.Length).Select(at => sequence.Where((_, i) => i != at).ToArray())), law, cases);

    private static void Check<T>(Arbitrary<T> values, Action<T> law, int cases)
    {
        // The gamma of a split-mix generator is odd; it is the other half of the seed.
        var replay = new Replay(new Rnd(Seed, 9_876_543_211), FSharpOption<int>.None);
        var config = Config.QuickThrowOnFailure.WithMaxTest(cases).WithReplay(FSharpOption<Replay>.Some(replay)).WithQuietOnSuccess(true);
        try
        {
            FsCheck.Check.One(config, Prop.ForAll(values, law));
        }
        catch (Exception e)
        {
            throw new Xunit.Sdk.XunitException($"With seed {Seed} (LEDGER_TEST_SEED): {e.Message}", e);
        }
    }
}
