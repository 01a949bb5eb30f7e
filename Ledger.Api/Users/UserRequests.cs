using System.ComponentModel;
using System.Runtime.CompilerServices;
using System.Text.Json;

namespace Ledger.Api.Users;

/// <summary>The body of a new user.</summary>
public sealed record CreateUserRequest(
    [property: Description("The caller's own id of the user: 1 to 255 characters, no e-mail address.")] string? ExternalId = null,
    [property: Description("An e-mail address that no other user has.")] string? Email = null,
    [property: Description("1 to 255 characters.")] string? Name = null,
    [property: Description("Up to 50 strings of up to 500 characters, under keys of up to 40 characters.")] Dictionary<string, string>? Metadata = null);

/// <summary>The body of a change of a user: it knows which fields were sent, also as null.</summary>
public sealed class ChangeUserRequest
{
    private readonly SortedSet<string> _set = new(StringComparer.Ordinal);

    [Description("The caller's own id of the user: 1 to 255 characters, no e-mail address. Null removes it.")]
    public string? ExternalId { get; set => field = Set(value); }

    [Description("An e-mail address that no other user has. Null removes it.")]
    public string? Email { get; set => field = Set(value); }

    [Description("1 to 255 characters. Null removes it.")]
    public string? Name { get; set => field = Set(value); }

    [Description("Entries to add or change, or to remove by null. Null removes them all.")]
    public Dictionary<string, string>? Metadata { get; set => field = Set(value); }

    /// <summary>The JSON names of the fields that were sent, in alphabetical order.</summary>
    internal IEnumerable<string> SetFields => _set.Select(JsonNamingPolicy.CamelCase.ConvertName);

    /// <summary>Whether a field was sent.</summary>
    internal bool IsSet(string property) => _set.Contains(property);

    private T Set<T>(T value, [CallerMemberName] string property = "")
    {
        _set.Add(property);
        return value;
    }
}

/// <summary>A user as services and operators see it.</summary>
/// <param name="ExternalId">The id that the service gave the user.</param>
/// <param name="Frozen">Whether an operator has frozen the user.</param>
public sealed record UserDetails(Guid Id, string? ExternalId, string? Email, string? Name, JsonElement? Metadata, bool Frozen, DateTime CreatedAt);

/// <summary>A page of users, newest first.</summary>
/// <param name="NextCursor">The cursor of the next page; null on the last page.</param>
public sealed record UserDetailsPage(IReadOnlyList<UserDetails> Items, string? NextCursor);
