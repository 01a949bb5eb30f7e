using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http.Json;

namespace Ledger.Api.Requests;

public static class JsonSetup
{
    public static void AddJson(this IHostApplicationBuilder builder) => builder.Services.AddOptions<JsonOptions>().Configure(options =>
    {
        options.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default);
        options.SerializerOptions.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        options.SerializerOptions.AllowDuplicateProperties = false;
        options.SerializerOptions.MaxDepth = 32;
    });
}
