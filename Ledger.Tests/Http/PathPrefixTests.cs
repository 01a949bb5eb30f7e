using Ledger.Api.Http;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Options;

namespace Ledger.Tests.Http;

/// <summary>The API below a path of a host that it shares.</summary>
public sealed class PathPrefixTests
{
    [Fact]
    public async Task With_a_prefix_each_route_exists_below_it_and_for_probes_without_it()
    {
        await using var app = Build("/ledger");
        await app.StartAsync(TestContext.Current.CancellationToken);
        using var http = new HttpClient { BaseAddress = new Uri(app.Urls.Single()) };

        Assert.Equal("/ledger /where", await http.GetStringAsync("/ledger/where", TestContext.Current.CancellationToken));
        Assert.Equal(" /where", await http.GetStringAsync("/where", TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData("ledger")]
    [InlineData("/ledger/")]
    [InlineData("/a b")]
    public async Task What_is_not_a_path_is_refused_at_start(string prefix) =>
        await Assert.ThrowsAsync<OptionsValidationException>(async () =>
        {
            await using var app = Build(prefix);
            await app.StartAsync(TestContext.Current.CancellationToken);
        });

    private static WebApplication Build(string prefix)
    {
        var builder = WebApplication.CreateSlimBuilder(["--urls", "http://127.0.0.1:0", "--Ledger:Http:PathPrefix", prefix]);
        builder.AddHttpLimits();
        var app = builder.Build();
        app.UsePathPrefix();
        app.MapGet("/where", (HttpContext context) => $"{context.Request.PathBase} {context.Request.Path}");
        return app;
    }
}
