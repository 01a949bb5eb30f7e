using System.Text.Json.Nodes;
using Ledger.Core.Currencies;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Messaging;

/// <summary>What docs/asyncapi.yaml says of messages, against what the worker writes.</summary>
public sealed class AsyncApiTests
{
    private static readonly JsonObject Document = Yaml.Parse(Repository.Read("docs/asyncapi.yaml")).Single();

    private static readonly DateTime Now = new(2026, 1, 31, 12, 0, 0, DateTimeKind.Utc);

    // With all that a transaction may have, and with nothing that it need not.
    private static readonly Transaction Full = new()
    {
        Id = Guid.CreateVersion7(),
        Kind = "transfer",
        Status = TransactionStatus.Posted,
        PrincipalId = Guid.CreateVersion7(),
        OwnerId = Guid.CreateVersion7(),
        RecipientId = Guid.CreateVersion7(),
        Amount = new Money(1234, "USD"),
        Reference = "r",
        Metadata = """{"a":"b"}""",
        CreatedAt = Now,
        DecidedAt = Now,
        Entries =
        [
            new Entry(Guid.CreateVersion7(), Guid.CreateVersion7(), new Money(-1234, "USD"), 0),
            new Entry(Guid.CreateVersion7(), Guid.CreateVersion7(), new Money(1234, "USD"), 1234),
        ],
    };

    // Between a house account and the exchange, in another currency than its amount.
    private static readonly Transaction Reversal = new()
    {
        Id = Guid.CreateVersion7(),
        Kind = "reversal",
        Status = TransactionStatus.Posted,
        PrincipalId = Guid.CreateVersion7(),
        Amount = new Money(1, "USD"),
        CreatedAt = Now,
        DecidedAt = Now,
        EffectiveAt = Now.AddDays(-1),
        Reverses = Guid.CreateVersion7(),
        Entries = [new Entry(Guid.CreateVersion7(), null, new Money(-5, "JPY"), 0), new Entry(Guid.CreateVersion7(), null, new Money(5, "JPY"), null)],
    };

    // From a user to another one and to the house.
    private static readonly Transaction Journal = new()
    {
        Id = Guid.CreateVersion7(),
        Kind = "journal",
        Status = TransactionStatus.Posted,
        PrincipalId = Guid.CreateVersion7(),
        Amount = new Money(1000, "USD"),
        CreatedAt = Now,
        DecidedAt = Now,
        Entries =
        [
            new Entry(Guid.CreateVersion7(), Guid.CreateVersion7(), new Money(-970, "USD"), 30), new Entry(Guid.CreateVersion7(), Guid.CreateVersion7(), new Money(970, "USD"), 970),
            new Entry(Guid.CreateVersion7(), Guid.CreateVersion7(), new Money(-30, "USD"), 0), new Entry(Guid.CreateVersion7(), null, new Money(30, "USD"), 30),
        ],
    };

    private static readonly Transaction Exchange = new()
    {
        Id = Guid.CreateVersion7(),
        Kind = "exchange",
        Status = TransactionStatus.Posted,
        PrincipalId = Guid.CreateVersion7(),
        OwnerId = Guid.CreateVersion7(),
        Amount = new Money(100, "USD"),
        CreatedAt = Now,
        DecidedAt = Now,
        Entries =
        [
            new Entry(Guid.CreateVersion7(), Guid.CreateVersion7(), new Money(-100, "USD"), 0), new Entry(Guid.CreateVersion7(), null, new Money(100, "USD"), null),
            new Entry(Guid.CreateVersion7(), null, new Money(-150, "JPY"), null), new Entry(Guid.CreateVersion7(), Guid.CreateVersion7(), new Money(150, "JPY"), 150),
        ],
    };

    private static readonly Transaction Bare = new()
    {
        Id = Guid.CreateVersion7(),
        Kind = "withdrawal",
        Status = TransactionStatus.Rejected,
        PrincipalId = Guid.CreateVersion7(),
        OwnerId = Guid.CreateVersion7(),
        Amount = new Money(1, "USD"),
        CreatedAt = Now,
        DecidedAt = Now,
        Rejection = new Rejection(RejectionCodes.InsufficientFunds),
    };

    private static readonly Dictionary<string, Currency> Currencies = new()
    {
        ["USD"] = new("USD", "US Dollar", 2, Enabled: true),
        ["JPY"] = new("JPY", "Yen", 0, Enabled: true),
    };

    private static readonly Transaction Failed = Bare with { Status = TransactionStatus.Failed, Rejection = null, Failure = "No worker could write it." };

    [Fact]
    public void Events_have_exactly_the_described_fields()
    {
        var seen = new HashSet<string>();
        foreach (var message in TransactionEvents.Write([Full, Bare, Failed, Journal, Exchange, Reversal], Currencies))
            MustMatch(JsonNode.Parse(message.Span)!, Document.At("components.messages.transactions.payload")!, "event", seen);

        var described = Document.Fields("components.schemas").SelectMany(schema => schema.Value.Fields("properties").Select(field => field.Key));
        Assert.Equal(described.Distinct().Order(StringComparer.Ordinal), seen.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Names_equal_those_of_RabbitMQ()
    {
        Assert.Equal(Topology.EventExchange, Document.Text("channels.events.bindings.amqp.exchange.name"));
        Assert.Equal(TransactionEvents.ContentType, Document.Text("components.messages.transactions.contentType"));
        Assert.Equal(Topology.DeadLetterQueue, Document.Text("channels.deadLetters.address"));
        Assert.Equal(Topology.DeadLetterQueue, Document.Text("channels.deadLetters.bindings.amqp.queue.name"));
        Assert.Equal(Topology.ReasonHeader, Document.Fields("components.messages.deadLetter.headers.properties").Single().Key);
        var keys = Document.Items("channels.events.parameters.status.enum").Select(status =>
            Document.Text("channels.events.address")!.Replace("{status}", status.ToString(), StringComparison.Ordinal).Replace("{currency}", "USD", StringComparison.Ordinal));
        Assert.Equal([TransactionEvents.RoutingKey(Full), TransactionEvents.RoutingKey(Bare), TransactionEvents.RoutingKey(Failed)], keys);
    }

    [Fact]
    public void Described_kinds_are_those_of_the_code() => Assert.Equal(
        Enum.GetValues<TransactionKind>().Select(kind => kind.Name()), Document.Items("components.schemas.transaction.properties.kind.enum").Select(kind => kind.ToString()));

    // As much of JSON Schema as the document uses.
    private static void MustMatch(JsonNode value, JsonNode schema, string where, HashSet<string> seen)
    {
        if (schema.Text("$ref") is { } reference)
            schema = Document.At(reference[2..].Replace('/', '.'))!;
        switch (schema.Text("type"))
        {
            case "array":
                foreach (var item in value.AsArray())
                    MustMatch(item!, schema.At("items")!, where, seen);
                break;
            case "object" when schema.At("additionalProperties") is { } additional:
                foreach (var (name, field) in value.AsObject())
                    MustMatch(field!, additional, $"{where}.{name}", seen);
                break;
            case "object":
                foreach (var required in schema.Items("required"))
                    Assert.True(value.AsObject().ContainsKey(required.ToString()), $"{where} has no {required}.");
                foreach (var (name, field) in value.AsObject())
                {
                    Assert.True(schema.At($"properties.{name}") is not null, $"{where}.{name} is not described.");
                    seen.Add(name);
                    MustMatch(field!, schema.At($"properties.{name}")!, $"{where}.{name}", seen);
                }
                break;
            default:
                Assert.Equal("string", schema.Text("type"));
                var text = value.GetValue<string>();
                Assert.True(schema.Text("const") is not { } only || only == text, $"{where} is {text}.");
                Assert.True(schema.At("enum") is null || schema.Items("enum").Any(choice => choice.ToString() == text), $"{where} is {text}.");
                Assert.True(schema.Text("format") switch { "uuid" => Guid.TryParse(text, out _), "date-time" => DateTimeOffset.TryParse(text, out _), _ => true }, $"{where} is {text}.");
                break;
        }
    }
}
