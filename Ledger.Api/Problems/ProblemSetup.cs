using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http.Json;

namespace Ledger.Api.Problems;

/// <summary>Bodies in, bodies out, and problems wherever something is wrong.</summary>
public static class ProblemSetup
{
    public static void AddJsonAndProblems(this IHostApplicationBuilder builder)
    {
        builder.Services.AddOptions<JsonOptions>().Configure(options =>
        {
            options.SerializerOptions.TypeInfoResolverChain.Insert(0, ApiJson.Default);
            options.SerializerOptions.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
            options.SerializerOptions.AllowDuplicateProperties = false;
            options.SerializerOptions.MaxDepth = 32;
        });
        // A body that cannot be read is an exception here, in every environment, so that it leaves as a problem with a code.
        builder.Services.Configure<RouteHandlerOptions>(options => options.ThrowOnBadRequest = true);
        builder.Services.AddProblemDetails(options => options.CustomizeProblemDetails = problem => Problem.Complete(problem.HttpContext, problem.ProblemDetails));
        builder.Services.AddExceptionHandler<ExceptionProblems>();
    }
}
