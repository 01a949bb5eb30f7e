using System.Text.Json.Serialization;
using Ledger.Core.Transactions;

namespace Ledger.Core.Messaging;

/// <summary>One message to the worker: the commands that had gathered at an API instance. Reply-to is AMQP's.</summary>
/// <param name="Version">What the commands can say. A worker leaves commands of a version that it does not know to one that does.</param>
public sealed record Envelope(IReadOnlyList<Command> Commands, int Version = Envelope.CurrentVersion)
{
    /// <summary>
    /// The version that this code writes, and the newest that it reads. In every version a command has <c>id</c>, <c>kind</c>,
    /// <c>principalId</c> and <c>createdAt</c>, and, if it has an owner, <c>ownerId</c>.
    /// </summary>
    public const int CurrentVersion = 1;

    /// <summary>
    /// Characters of clients' own text after which a message takes no more commands: far below the 16 MiB that RabbitMQ takes by
    /// default, however the text is escaped, and little enough that a worker can hold all that it may have fetched.
    /// </summary>
    public const int MaxText = 1024 * 1024;

    /// <summary>Characters of a command that its client chose.</summary>
    public static int TextOf(Command command) =>
        (command.Reference?.Length ?? 0) + (command.Metadata?.Length ?? 0) + (command.IdempotencyKey?.Length ?? 0);

    /// <summary>As many envelopes as commands in this order need.</summary>
    public static IEnumerable<Envelope> Split(IEnumerable<Command> commands)
    {
        var gathered = new List<Command>();
        var text = 0;
        foreach (var command in commands)
        {
            gathered.Add(command);
            text += TextOf(command);
            if (text < MaxText)
                continue;
            yield return new Envelope(gathered);
            gathered = [];
            text = 0;
        }
        if (gathered.Count > 0)
            yield return new Envelope(gathered);
    }
}

/// <summary>What travels back as one message: the answers of one batch to one API instance.</summary>
public sealed record Replies(IReadOnlyList<Reply> Items);

/// <summary>The answer to one command.</summary>
/// <param name="CommandId">The command's id.</param>
/// <param name="Kind">What the answer is.</param>
/// <param name="TransactionId">The transaction that answers it: its own or, if it was replayed, the one that its key stands for.</param>
/// <param name="DecidedAt">UTC; set if decided.</param>
/// <param name="Rejection">Set if rejected.</param>
/// <param name="Entries">Those on the owner's accounts; set if posted.</param>
public sealed record Reply(
    Guid CommandId,
    ReplyKind Kind,
    Guid TransactionId,
    DateTime? DecidedAt = null,
    Rejection? Rejection = null,
    IReadOnlyList<Entry>? Entries = null);

/// <summary>What a worker's answer says.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ReplyKind>))]
public enum ReplyKind
{
    [JsonStringEnumMemberName("posted")]
    Posted,
    [JsonStringEnumMemberName("rejected")]
    Rejected,
    /// <summary>The key stands for another command, which asked for the same.</summary>
    [JsonStringEnumMemberName("replayed")]
    Replayed,
    /// <summary>The key stands for another body.</summary>
    [JsonStringEnumMemberName("keyReused")]
    KeyReused,
    /// <summary>No batch could post it: it went to the dead letters and was not applied.</summary>
    [JsonStringEnumMemberName("failed")]
    Failed,
}

/// <summary>How messages are written: JSON in camelCase, so that whoever looks into a queue can read it.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Envelope))]
[JsonSerializable(typeof(Command))]
[JsonSerializable(typeof(Replies))]
public sealed partial class MessageJson : JsonSerializerContext;
