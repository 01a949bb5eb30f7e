using Ledger.Core.Persistence;
using Ledger.ServiceDefaults;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace Ledger.Tests.Configuration;

/// <summary>The settings that a service adds to its connection string. No connection is opened.</summary>
public sealed class ConnectionTests
{
    [Theory]
    [InlineData("", GssEncryptionMode.Disable)]
    [InlineData(";Gss Encryption Mode=Require", GssEncryptionMode.Require)]
    public async Task Kerberos_is_off_unless_the_connection_string_asks_for_it(string setting, GssEncryptionMode expected)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Configuration.AddInMemoryCollection([new($"ConnectionStrings:{ResourceNames.Database}", $"Host=127.0.0.1;Port=1{setting}")]);
        builder.AddPostgres<LedgerDbContext>();
        await using var service = builder.Build();

        var connection = new NpgsqlConnectionStringBuilder(service.Services.GetRequiredService<NpgsqlDataSource>().ConnectionString);

        Assert.Equal(expected, connection.GssEncryptionMode);
    }
}
