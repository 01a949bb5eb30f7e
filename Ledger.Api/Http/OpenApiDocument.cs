using Ledger.Api.Transactions;
using Microsoft.AspNetCore.Authorization;
using Microsoft.OpenApi;

namespace Ledger.Api.Http;

/// <summary>The API's own description, at <c>/openapi/v1.json</c>.</summary>
public static class OpenApiDocument
{
    public static void AddOpenApiDocument(this IHostApplicationBuilder builder) => builder.Services.AddOpenApi(options =>
    {
        options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info = new OpenApiInfo
            {
                Title = "Ledger",
                Version = "v1",
                Description = "Deposits, withdrawals, transfers and balances per currency. Amounts are decimal strings in major units. "
                    + "Errors are problem details (RFC 9457) with a stable `code`.",
            };
            document.Servers?.Clear();
            document.Components ??= new OpenApiComponents();
            document.Components.SecuritySchemes ??= new Dictionary<string, IOpenApiSecurityScheme>();
            document.Components.SecuritySchemes["bearer"] = new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.Http,
                Scheme = "bearer",
                Description = "The `accessToken` of POST /api/v1/identity/login.",
            };
            return Task.CompletedTask;
        });
        options.AddOperationTransformer((operation, context, _) =>
        {
            var metadata = context.Description.ActionDescriptor.EndpointMetadata;
            if (metadata.OfType<IAuthorizeData>().Any() && !metadata.OfType<IAllowAnonymous>().Any())
                operation.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference("bearer", context.Document)] = [] }];
            if (metadata.OfType<AcceptsCommandHeaders>().Any())
            {
                operation.Parameters ??= [];
                operation.Parameters.Add(Header("Idempotency-Key", "1 to 255 characters; the same key and body give the same answer again."));
                operation.Parameters.Add(Header("Prefer", "`respond-async`, or `wait=N` seconds, at most 60 (RFC 7240)."));
            }
            return Task.CompletedTask;
        });
    });

    private static OpenApiParameter Header(string name, string description) => new()
    {
        Name = name,
        In = ParameterLocation.Header,
        Description = description,
        Schema = new OpenApiSchema { Type = JsonSchemaType.String },
    };
}
