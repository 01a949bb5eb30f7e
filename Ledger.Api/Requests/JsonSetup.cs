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
        // The web defaults also read numbers from strings, and then the OpenAPI document describes each number as both.
        options.SerializerOptions.NumberHandling = JsonNumberHandling.Strict;
    });
}
