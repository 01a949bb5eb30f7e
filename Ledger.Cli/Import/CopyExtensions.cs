using Npgsql;
using NpgsqlTypes;

namespace Ledger.Cli.Import;

internal static class CopyExtensions
{
    /// <summary>Writes a value, or NULL.</summary>
    public static Task WriteOrNullAsync<T>(this NpgsqlBinaryImporter copy, T? value, NpgsqlDbType type, CancellationToken cancellationToken) where T : struct =>
        value is { } present ? copy.WriteAsync(present, type, cancellationToken) : copy.WriteNullAsync(cancellationToken);

    /// <inheritdoc cref="WriteOrNullAsync{T}(NpgsqlBinaryImporter, T?, NpgsqlDbType, CancellationToken)"/>
    public static Task WriteOrNullAsync(this NpgsqlBinaryImporter copy, string? value, NpgsqlDbType type, CancellationToken cancellationToken) =>
        value is null ? copy.WriteNullAsync(cancellationToken) : copy.WriteAsync(value, type, cancellationToken);
}
