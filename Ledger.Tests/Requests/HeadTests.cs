using System.Net.Http.Headers;
using System.Text.RegularExpressions;
using Ledger.Core.Identity;
using Ledger.Tests.Harness;

namespace Ledger.Tests.Requests;

/// <summary>HEAD has the answer of GET without the body (RFC 9110, section 9.3.2).</summary>
public sealed class HeadTests(LedgerSystem system)
{
    [Fact]
    public async Task Every_GET_endpoint_answers_HEAD()
    {
        var auditor = await system.NewStaffAsync(Roles.Auditor);
        var paths = (await auditor.Api.GetAsync("/openapi/v1.json")).MustBe(200).Json.GetProperty("paths").EnumerateObject()
            .Where(path => path.Value.TryGetProperty("get", out _))
            .Select(path => Regex.Replace(path.Name, @"\{(\w+)\}", match => match.Groups[1].Value == "currency" ? "USD" : auditor.Id.ToString()))
            .Concat(["/openapi/v1.json", "/health", "/alive", "/api/v1/transactions?limit=0"])
            .ToList();
        Assert.True(paths.Count > 10);

        foreach (var path in paths)
        {
            var get = await auditor.GetAsync(path);
            var head = await AskAsync(HttpMethod.Head, path, auditor);

            Assert.Equal((path, get.Status, get.ContentType, ""), (path, head.Status, head.ContentType, head.Text));
        }
    }

    [Fact]
    public async Task POST_endpoint_refuses_HEAD_and_GET_endpoint_lists_it_in_Allow()
    {
        var user = await system.NewUserAsync();

        Assert.Equal((405, "POST"), await AllowedAsync(HttpMethod.Head, "/api/v1/deposits"));
        Assert.Equal((405, "GET, HEAD"), await AllowedAsync(HttpMethod.Delete, "/api/v1/balances"));
        Assert.Equal((405, "GET, HEAD, POST"), await AllowedAsync(HttpMethod.Delete, "/api/v1/transactions"));
        Assert.Equal(401, (await AskAsync(HttpMethod.Head, "/api/v1/balances", null)).Status);

        async Task<(int, string)> AllowedAsync(HttpMethod method, string path)
        {
            using var http = new HttpClient();
            using var request = Request(method, new Uri(user.Api.Address, path).ToString(), user);
            using var answer = await http.SendAsync(request);
            return ((int)answer.StatusCode, string.Join(", ", answer.Content.Headers.Allow.Order(StringComparer.Ordinal)));
        }
    }

    private async Task<Answer> AskAsync(HttpMethod method, string path, LedgerUser? user)
    {
        using var request = Request(method, path, user);
        return await (await system.ApiAsync()).SendAsync(request);
    }

    private static HttpRequestMessage Request(HttpMethod method, string path, LedgerUser? user)
    {
        var request = new HttpRequestMessage(method, path);
        if (user is not null)
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", user.Token);
        return request;
    }
}
