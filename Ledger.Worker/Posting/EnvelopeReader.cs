using System.Text;
using System.Text.Json;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;

namespace Ledger.Worker.Posting;

/// <summary>Reads the commands of a message. A command that cannot be read does not keep its neighbours from being posted.</summary>
internal static class EnvelopeReader
{
    /// <summary>Reads the commands that this version can post, those of a later kind or version, and those that cannot be read.</summary>
    public static EnvelopeContent Read(ReadOnlyMemory<byte> message)
    {
        try
        {
            if (JsonSerializer.Deserialize(message.Span, MessageJson.Default.Envelope) is { Commands: { } commands, Version: > 0 and <= Envelope.CurrentVersion }
                && !commands.Contains(null!))
                return new EnvelopeContent(commands, [], []);
        }
        catch (JsonException)
        {
            // The message may have a command of a kind that only a newer version knows.
        }
        return ReadOneByOne(message);
    }

    private static EnvelopeContent ReadOneByOne(ReadOnlyMemory<byte> message)
    {
        var (commands, unknown, unreadable) = (new List<Command>(), new List<StoredCommand>(), new List<byte[]>());
        try
        {
            using var envelope = JsonDocument.Parse(message);
            var version = envelope.RootElement.TryGetProperty("version"u8, out var written) ? written.GetInt32() : Envelope.CurrentVersion;
            foreach (var item in envelope.RootElement.GetProperty("commands"u8).EnumerateArray())
            {
                if (version <= Envelope.CurrentVersion && TryRead(item) is { } command)
                    commands.Add(command);
                else if (StoredCommand.OfUnknown(item, version) is { } later && (version > Envelope.CurrentVersion || !TransactionNames.TryParseKind(later.Kind, out _)))
                    unknown.Add(later);
                else
                    unreadable.Add([.. "{\"commands\":["u8, .. Encoding.UTF8.GetBytes(item.GetRawText()), .. "]}"u8]);
            }
            return unknown.Count + unreadable.Count > 0 ? new EnvelopeContent(commands, unknown, unreadable) : new EnvelopeContent([], [], [message.ToArray()]);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return new EnvelopeContent([], [], [message.ToArray()]);
        }
    }

    /// <summary>The ids of unreadable commands, where they have any: the relay must not publish their pending commands again.</summary>
    public static IReadOnlyList<Guid> IdsIn(byte[] unreadable)
    {
        try
        {
            using var envelope = JsonDocument.Parse(unreadable);
            return [.. envelope.RootElement.GetProperty("commands"u8).EnumerateArray().Select(item => item.GetProperty("id"u8).GetGuid())];
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            return [];
        }
    }

    private static Command? TryRead(JsonElement item)
    {
        try
        {
            return item.Deserialize(MessageJson.Default.Command);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}

/// <summary>What a message holds.</summary>
/// <param name="Commands">To be posted.</param>
/// <param name="Unknown">Of a kind or version that this worker does not know: left to one that does.</param>
/// <param name="Unreadable">For the dead letters, each a message of its own: the commands that nothing can read, or all of a message that is no envelope.</param>
internal sealed record EnvelopeContent(IReadOnlyList<Command> Commands, IReadOnlyList<StoredCommand> Unknown, IReadOnlyList<byte[]> Unreadable);
