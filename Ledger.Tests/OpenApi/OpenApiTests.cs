using System.Runtime.CompilerServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using Ledger.Tests.Harness;

namespace Ledger.Tests.OpenApi;

/// <summary>Compares the OpenAPI document with the approved copy, so that changes to the contract are reviewed.</summary>
public sealed class OpenApiTests(LedgerSystem system)
{
    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Fact]
    public async Task Document_equals_the_approved_copy()
    {
        var document = (await (await system.ApiAsync()).GetAsync("/openapi/v1.json")).MustBe(200);
        var received = JsonSerializer.Serialize(document.Json, Indented) + "\n";
        var approvedPath = Path.Combine(Folder(), "../Approved/openapi.json");
        var receivedPath = Path.Combine(Folder(), "../Approved/openapi.received.json");

        var approved = File.Exists(approvedPath) ? await File.ReadAllTextAsync(approvedPath) : "";
        if (approved == received)
        {
            File.Delete(receivedPath);
            return;
        }
        await File.WriteAllTextAsync(receivedPath, received);
        Assert.Fail($"""
            The OpenAPI document has changed: {FirstDifference(approved, received)}
            If the change is intended, approve and commit it:
                mv Ledger.Tests/Approved/openapi.received.json Ledger.Tests/Approved/openapi.json
            """);
    }

    [Fact]
    public async Task Every_operation_has_a_name_and_a_summary_and_commands_name_their_headers()
    {
        var paths = (await (await system.ApiAsync()).GetAsync("/openapi/v1.json")).MustBe(200).Json.GetProperty("paths");

        var names = new HashSet<string>();
        foreach (var path in paths.EnumerateObject())
        {
            foreach (var operation in path.Value.EnumerateObject())
            {
                Assert.True(names.Add(operation.Value.GetProperty("operationId").GetString()!), $"{path.Name} has no name of its own.");
                Assert.NotEqual("", operation.Value.GetProperty("summary").GetString());
            }
        }
        foreach (var command in (string[])["deposits", "withdrawals", "transfers"])
        {
            var headers = paths.GetProperty($"/api/v1/{command}").GetProperty("post").GetProperty("parameters").EnumerateArray().Select(header => header.GetProperty("name").GetString());
            Assert.Equal(["Idempotency-Key", "Prefer"], headers.Order());
        }
    }

    private static string FirstDifference(string approved, string received)
    {
        var (before, after) = (approved.Split('\n'), received.Split('\n'));
        var line = before.Zip(after).TakeWhile(pair => pair.First == pair.Second).Count();
        return $"line {line + 1} was '{before.ElementAtOrDefault(line)?.Trim()}' and is '{after.ElementAtOrDefault(line)?.Trim()}'";
    }

    private static string Folder([CallerFilePath] string file = "") => Path.GetDirectoryName(file)!;
}
