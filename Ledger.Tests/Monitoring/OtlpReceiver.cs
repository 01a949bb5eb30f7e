using System.Collections.Concurrent;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace Ledger.Tests.Monitoring;

/// <summary>The parts of a span that the tests use.</summary>
/// <param name="Source">The name of its instrumentation scope.</param>
/// <param name="TraceId">In lower-case hexadecimal.</param>
internal sealed record ReceivedSpan(string Source, string TraceId, string Name);

/// <summary>A receiver of OTLP over HTTP that stores the spans of a process.</summary>
internal sealed class OtlpReceiver : IAsyncDisposable
{
    private readonly WebApplication _app;

    private OtlpReceiver(WebApplication app) => _app = app;

    public ConcurrentQueue<ReceivedSpan> Spans { get; } = new();

    /// <summary>The environment with which a process exports to this receiver, in short intervals.</summary>
    public (string Option, string Value)[] Environment =>
        [("OTEL_EXPORTER_OTLP_ENDPOINT", _app.Urls.Single()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_BSP_SCHEDULE_DELAY", "100")];

    public static async Task<OtlpReceiver> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        var app = builder.Build();
        app.Urls.Add("http://127.0.0.1:0");
        var receiver = new OtlpReceiver(app);
        app.MapPost("/v1/traces", receiver.TakeAsync);
        // Metrics and logs.
        app.MapFallback(() => Results.Ok());
        await app.StartAsync(TestContext.Current.CancellationToken);
        return receiver;
    }

    public ValueTask DisposeAsync() => _app.DisposeAsync();

    // ExportTraceServiceRequest { ResourceSpans { ScopeSpans { InstrumentationScope { name }, Span { trace_id, name } } } }
    private async Task<IResult> TakeAsync(HttpRequest request)
    {
        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body);
        foreach (var scope in Fields(body.ToArray(), 1).SelectMany(resource => Fields(resource, 2)))
        {
            var source = Text(Fields(Fields(scope, 1).Single(), 1));
            foreach (var span in Fields(scope, 2))
                Spans.Enqueue(new ReceivedSpan(source, Convert.ToHexStringLower(Fields(span, 1).Single()), Text(Fields(span, 5))));
        }
        return Results.Ok();
    }

    private static string Text(IEnumerable<byte[]> field) => Encoding.UTF8.GetString(field.SingleOrDefault([]));

    /// <summary>The length-delimited fields of a protobuf message with this number.</summary>
    private static List<byte[]> Fields(byte[] message, int number)
    {
        var fields = new List<byte[]>();
        for (var at = 0; at < message.Length;)
        {
            var tag = Varint();
            var length = (tag & 7) switch
            {
                0 => Varint() * 0,
                1 => 8,
                2 => Varint(),
                5 => 4,
                var type => throw new InvalidDataException($"Protobuf has no wire type {type}."),
            };
            if (tag == (number << 3 | 2))
                fields.Add(message[at..(at + length)]);
            at += length;

            int Varint()
            {
                var value = 0UL;
                for (var shift = 0; ; shift += 7)
                {
                    value |= (message[at] & 0x7FUL) << shift;
                    if (message[at++] < 0x80)
                        return (int)value;
                }
            }
        }
        return fields;
    }
}
