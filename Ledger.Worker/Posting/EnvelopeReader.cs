using System.Text;
using System.Text.Json;
using Ledger.Core.Messaging;
using Ledger.Core.Transactions;

namespace Ledger.Worker.Posting;

/// <summary>Reads the commands of a message. What cannot be read does not keep its neighbours from being posted.</summary>
internal static class EnvelopeReader
{
    /// <summary>
    /// The commands that can be read, and what is left for the dead letters, each a message of its own: the commands that
    /// cannot, or all of a message that is no envelope.
    /// </summary>
    public static (IReadOnlyList<Command> Commands, IReadOnlyList<byte[]> Unreadable) Read(ReadOnlyMemory<byte> message)
    {
        try
        {
            if (JsonSerializer.Deserialize(message.Span, MessageJson.Default.Envelope)?.Commands is { } commands && !commands.Contains(null!))
                return (commands, []);
        }
        catch (JsonException)
        {
            // A command of a kind that this version does not know, perhaps: an API that is newer than this worker.
        }
        return ReadOneByOne(message);
    }

    private static (IReadOnlyList<Command>, IReadOnlyList<byte[]>) ReadOneByOne(ReadOnlyMemory<byte> message)
    {
        var commands = new List<Command>();
        var unreadable = new List<byte[]>();
        try
        {
            using var envelope = JsonDocument.Parse(message);
            foreach (var item in envelope.RootElement.GetProperty("commands"u8).EnumerateArray())
            {
                if (TryRead(item) is { } command)
                    commands.Add(command);
                else
                    unreadable.Add([.. "{\"commands\":["u8, .. Encoding.UTF8.GetBytes(item.GetRawText()), .. "]}"u8]);
            }
            return unreadable.Count > 0 ? (commands, unreadable) : ([], [message.ToArray()]);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return ([], [message.ToArray()]);
        }
    }

    /// <summary>The ids, where there are any, of commands that could not be read: what has been recorded under them is not to be sent again.</summary>
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
