using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Http;
using OpenTelemetry;
using OpenTelemetry.Metrics;

namespace Ledger.ServiceDefaults.Telemetry;

/// <summary>
/// Writes what the OpenTelemetry SDK has measured in Prometheus' text format 0.0.4, whenever it is asked for. Names follow
/// the specification's rules for Prometheus: dots become underscores, the unit and <c>total</c> are appended.
/// </summary>
/// <remarks>OpenTelemetry's own exporter for it is not on every package feed, and never left its preview.</remarks>
[ExportModes(ExportModes.Pull)]
public sealed class PrometheusExporter : BaseExporter<Metric>, IPullMetricExporter
{
    private readonly SemaphoreSlim _collecting = new(1);
    private readonly StringBuilder _text = new();

    public Func<int, bool>? Collect { get; set; }

    /// <summary>Answers a scrape.</summary>
    public async Task WriteAsync(HttpContext context)
    {
        await _collecting.WaitAsync(context.RequestAborted);
        string text;
        try
        {
            _text.Clear();
            if (Collect?.Invoke(5_000) != true)
            {
                context.Response.StatusCode = StatusCodes.Status503ServiceUnavailable;
                return;
            }
            text = _text.ToString();
        }
        finally
        {
            _collecting.Release();
        }
        context.Response.ContentType = "text/plain; version=0.0.4; charset=utf-8";
        await context.Response.WriteAsync(text, context.RequestAborted);
    }

    public override ExportResult Export(in Batch<Metric> batch)
    {
        // One family per name, whichever meters have instruments of that name.
        var families = new SortedDictionary<string, List<Metric>>(StringComparer.Ordinal);
        foreach (var metric in batch)
        {
            var name = NameOf(metric);
            if (!families.TryGetValue(name, out var family))
                families[name] = family = [];
            family.Add(metric);
        }

        foreach (var (name, family) in families)
        {
            var description = string.IsNullOrEmpty(family[0].Description) ? name : family[0].Description;
            _text.Append("# HELP ").Append(name).Append(' ').Append(description.Replace("\\", @"\\").Replace("\n", @"\n")).Append('\n');
            _text.Append("# TYPE ").Append(name).Append(' ').Append(TypeOf(family[0].MetricType)).Append('\n');
            foreach (var metric in family)
            {
                foreach (ref readonly var point in metric.GetMetricPoints())
                    Write(name, metric.MetricType, point);
            }
        }
        return ExportResult.Success;
    }

    private void Write(string name, MetricType type, in MetricPoint point)
    {
        if (type != MetricType.Histogram)
        {
            WriteLine(name, "", point.Tags, null, ValueOf(type, point));
            return;
        }

        long count = 0;
        foreach (var bucket in point.GetHistogramBuckets())
        {
            count += bucket.BucketCount;
            WriteLine(name, "_bucket", point.Tags, Number(bucket.ExplicitBound), count);
        }
        WriteLine(name, "_sum", point.Tags, null, point.GetHistogramSum());
        WriteLine(name, "_count", point.Tags, null, point.GetHistogramCount());
    }

    private void WriteLine(string name, string suffix, ReadOnlyTagCollection tags, string? upTo, double value)
    {
        _text.Append(name).Append(suffix);
        var separator = '{';
        foreach (var (key, tag) in tags)
        {
            WriteLabel(separator, Sanitized(key), Convert.ToString(tag, CultureInfo.InvariantCulture) ?? "");
            separator = ',';
        }
        if (upTo is not null)
        {
            WriteLabel(separator, "le", upTo);
            separator = ',';
        }
        if (separator == ',')
            _text.Append('}');
        _text.Append(' ').Append(Number(value)).Append('\n');
    }

    private void WriteLabel(char separator, string name, string value) => _text
        .Append(separator).Append(name).Append("=\"")
        .Append(value.Replace("\\", @"\\").Replace("\"", "\\\"").Replace("\n", @"\n"))
        .Append('"');

    private static double ValueOf(MetricType type, in MetricPoint point) => type switch
    {
        MetricType.LongSum or MetricType.LongSumNonMonotonic => point.GetSumLong(),
        MetricType.DoubleSum or MetricType.DoubleSumNonMonotonic => point.GetSumDouble(),
        MetricType.LongGauge => point.GetGaugeLastValueLong(),
        MetricType.DoubleGauge => point.GetGaugeLastValueDouble(),
        _ => double.NaN,
    };

    private static string NameOf(Metric metric)
    {
        var name = Sanitized(metric.Name);
        var unit = metric.Unit switch
        {
            "s" => "_seconds",
            "ms" => "_milliseconds",
            "By" => "_bytes",
            "%" => "_percent",
            // Annotations such as {command}, and 1, have no suffix.
            _ => "",
        };
        if (!name.EndsWith(unit, StringComparison.Ordinal))
            name += unit;
        return TypeOf(metric.MetricType) == "counter" && !name.EndsWith("_total", StringComparison.Ordinal) ? name + "_total" : name;
    }

    private static string TypeOf(MetricType type) => type switch
    {
        MetricType.LongSum or MetricType.DoubleSum => "counter",
        MetricType.Histogram => "histogram",
        _ => "gauge",
    };

    private static string Sanitized(string name) =>
        string.Create(name.Length, name, static (buffer, source) =>
        {
            for (var i = 0; i < buffer.Length; i++)
                buffer[i] = char.IsAsciiLetterOrDigit(source[i]) ? source[i] : '_';
        });

    private static string Number(double value) => value switch
    {
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        double.NaN => "NaN",
        _ => value.ToString("R", CultureInfo.InvariantCulture),
    };

    protected override void Dispose(bool disposing)
    {
        if (disposing)
            _collecting.Dispose();
        base.Dispose(disposing);
    }
}
