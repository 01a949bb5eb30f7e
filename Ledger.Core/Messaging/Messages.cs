using System.Text.Json.Serialization;
using Ledger.Core.Transactions;

namespace Ledger.Core.Messaging;

/// <summary>A message to the worker: the commands that gathered in an API process. The reply queue is AMQP's reply-to property.</summary>
/// <param name="Version">The version of the commands' format. A worker leaves commands of a later version to a later worker.</param>
public sealed record Envelope(IReadOnlyList<Command> Commands, int Version = Envelope.CurrentVersion)
{
    /// <summary>
    /// The version that this code writes, and the newest that it reads. In every version a command has <c>id</c>, <c>kind</c>,
    /// <c>principalId</c> and <c>createdAt</c>, and, if it has an owner, <c>ownerId</c>.
    /// </summary>
    public const int CurrentVersion = 1;

    /// <summary>
    /// Characters of clients' text after which a message takes no more commands. However the text is escaped, the message stays far
    /// below RabbitMQ's default limit of 16 MiB, and a worker can hold all messages of its prefetch.
    /// </summary>
    public const int MaxText = 1024 * 1024;

    // Two ends with names of 100 characters each, and an amount.
    private const int MaxPostingText = 400;

    /// <summary>Characters of a command's reference, metadata and idempotency key, and at most those of its postings.</summary>
    public static int TextOf(Command command) =>
        (command.Reference?.Length ?? 0) + (command.Metadata?.Length ?? 0) + (command.IdempotencyKey?.Length ?? 0)
        + (command.Terms?.Postings?.Count ?? 0) * MaxPostingText;

    /// <summary>Splits commands, in this order, into envelopes of bounded size.</summary>
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

/// <summary>A message to an API process: its replies of one batch.</summary>
public sealed record Replies(IReadOnlyList<Reply> Items);

/// <summary>The reply to one command.</summary>
/// <param name="TransactionId">The transaction that answers the command: its own or, if it was replayed, the one that its idempotency key stands for.</param>
/// <param name="DecidedAt">UTC; set if the command is decided.</param>
/// <param name="Rejection">Set if the command is rejected.</param>
/// <param name="Entries">The entries on the owner's accounts; set if the command is posted.</param>
public sealed record Reply(
    Guid CommandId,
    ReplyKind Kind,
    Guid TransactionId,
    DateTime? DecidedAt = null,
    Rejection? Rejection = null,
    IReadOnlyList<Entry>? Entries = null);

/// <summary>The outcome that a reply reports.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ReplyKind>))]
public enum ReplyKind
{
    [JsonStringEnumMemberName("posted")]
    Posted,
    [JsonStringEnumMemberName("rejected")]
    Rejected,
    /// <summary>The idempotency key stands for another command with the same meaning.</summary>
    [JsonStringEnumMemberName("replayed")]
    Replayed,
    /// <summary>The idempotency key stands for another request.</summary>
    [JsonStringEnumMemberName("keyReused")]
    KeyReused,
    /// <summary>The command could not be posted and is stored as failed.</summary>
    [JsonStringEnumMemberName("failed")]
    Failed,
}

/// <summary>The format of messages: JSON in camelCase, which an operator can read in the queue.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Envelope))]
[JsonSerializable(typeof(Command))]
[JsonSerializable(typeof(Replies))]
[JsonSerializable(typeof(TransactionDetails))]
public sealed partial class MessageJson : JsonSerializerContext;
