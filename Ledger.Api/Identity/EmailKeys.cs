using System.Diagnostics.CodeAnalysis;
using Ledger.Core.Identity;
using Microsoft.AspNetCore.Identity;

namespace Ledger.Api.Identity;

/// <summary>Lets ASP.NET Core Identity find users by the keys that everything else uses. A user's name is its canonical e-mail address.</summary>
internal sealed class EmailKeys : ILookupNormalizer
{
    [return: NotNullIfNotNull(nameof(email))]
    public string? NormalizeEmail(string? email) => email is null ? null : RegisteredEmail.KeyOf(email);

    [return: NotNullIfNotNull(nameof(name))]
    public string? NormalizeName(string? name) => name is null ? null : RegisteredEmail.KeyOf(name);
}
