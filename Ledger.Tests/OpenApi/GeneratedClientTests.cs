using System.Reflection;
using Ledger.Tests.Harness;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using NSwag;
using NSwag.CodeGeneration.CSharp;

namespace Ledger.Tests.OpenApi;

/// <summary>A client that NSwag generates from the OpenAPI document compiles and works.</summary>
public sealed class GeneratedClientTests(LedgerSystem system)
{
    // Written as a user of the generated client writes it. Strict types: an expiry is a number, an amount is a string.
    private const string Program = """
        using System;
        using System.Linq;
        using System.Net.Http;
        using System.Net.Http.Headers;
        using System.Threading.Tasks;
        using Generated;

        public static class Program
        {
            public static async Task<string> RunAsync(HttpClient http, string email, string password)
            {
                var client = new LedgerClient(http);
                Guid user = (await client.RegisterAsync(new RegisterRequest { Email = email, Password = password })).UserId;
                TokenResponse login = await client.LoginAsync(new LoginRequest { Email = email, Password = password });
                int expiresIn = login.ExpiresIn;
                http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue(login.TokenType, login.AccessToken);

                DateTimeOffset before = DateTimeOffset.UtcNow.AddMinutes(-5);
                TransactionResponse deposit = await client.DepositAsync(
                    idempotency_Key: null, prefer: null, body: new DepositRequest { Currency = "USD", Amount = "12.34" });
                TransactionPage since = await client.ListTransactionsAsync(
                    currency: "USD", kind: null, status: null, from: before, to: null, by: null, cursor: null, limit: null, onBehalfOf: null);
                TransactionPage later = await client.ListTransactionsAsync(
                    currency: "USD", kind: null, status: null, from: before.AddDays(1), to: null, by: null, cursor: null, limit: null, onBehalfOf: null);
                BalanceResponse past = await client.GetBalanceAsync("USD", at: before, effectiveAt: null, onBehalfOf: null);
                if (since.Items.Single().Id != deposit.Id || later.Items.Any() || user == Guid.Empty || expiresIn <= 0)
                    throw new InvalidOperationException("The answers do not fit together.");
                return $"{deposit.Amount} {past.Posted}";
            }
        }
        """;

    [Fact]
    public async Task Client_that_NSwag_generates_registers_deposits_and_lists_from_a_time()
    {
        var api = await system.ApiAsync();
        var json = (await api.GetAsync("/openapi/v1.json")).MustBe(200).Text;
        var settings = new CSharpClientGeneratorSettings { ClassName = "LedgerClient", UseBaseUrl = false };
        settings.CSharpGeneratorSettings.Namespace = "Generated";
        settings.CSharpGeneratorSettings.JsonLibrary = NJsonSchema.CodeGeneration.CSharp.CSharpJsonLibrary.SystemTextJson;
        var client = new CSharpClientGenerator(await OpenApiDocument.FromJsonAsync(json, TestContext.Current.CancellationToken), settings).GenerateFile();
        // Without this the test would prove nothing.
        Assert.Contains(""".ToString("s",""", client, StringComparison.Ordinal);

        var program = Compile(client, Program).GetType("Program")!.GetMethod("RunAsync")!;
        using var http = new HttpClient { BaseAddress = api.Address };
        var result = await (Task<string>)program.Invoke(null, [http, $"{Guid.NewGuid():N}@example.com", LedgerApi.Password])!;

        Assert.Equal("12.34 0.00", result);
    }

    private static Assembly Compile(params string[] sources)
    {
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator).Select(path => MetadataReference.CreateFromFile(path));
        var compilation = CSharpCompilation.Create(
            "GeneratedClient", sources.Select(source => CSharpSyntaxTree.ParseText(source)), references, new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary));
        using var assembly = new MemoryStream();
        var compiled = compilation.Emit(assembly);
        Assert.True(compiled.Success, string.Join('\n', compiled.Diagnostics.Where(diagnostic => diagnostic.Severity == DiagnosticSeverity.Error).Take(20)));
        return Assembly.Load(assembly.ToArray());
    }
}
