using FsCheck;
using FsCheck.Fluent;
using Ledger.Cli.Latency;

namespace Ledger.Tests.Cli;

public sealed class LatencyHistogramTests
{
    [Fact]
    public void A_percentile_is_at_most_two_percent_above_the_exact_one() => Prop.ForAll(
        Gen.Choose(0, 100_000_000).NonEmptyListOf().ToArbitrary(),
        microseconds =>
        {
            var histogram = new LatencyHistogram();
            foreach (var value in microseconds)
                histogram.Record(TimeSpan.FromMicroseconds(value));

            var sorted = microseconds.Order().ToList();
            foreach (var fraction in new[] { 0.01, 0.5, 0.95, 0.99, 1 })
            {
                var exact = sorted[(int)Math.Ceiling(fraction * sorted.Count) - 1];
                Assert.InRange(histogram.Percentile(fraction).TotalMicroseconds, exact, exact * 1.02);
            }
            Assert.Equal(sorted[^1], histogram.Max.TotalMicroseconds);
            Assert.Equal(sorted.Count, histogram.Count);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_histogram_without_values_has_zero_latencies()
    {
        var histogram = new LatencyHistogram();

        Assert.Equal(TimeSpan.Zero, histogram.Percentile(0.99));
        Assert.Equal(TimeSpan.Zero, histogram.Max);
    }
}
