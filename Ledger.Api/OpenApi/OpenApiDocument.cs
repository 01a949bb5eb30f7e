using System.Text.Json;
using Ledger.Api.Accounts;
using Ledger.Api.Edge;
using Ledger.Api.Oidc;
using Ledger.Api.Requests;
using Ledger.Api.Transactions;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.Extensions.Options;
using Microsoft.OpenApi;

namespace Ledger.Api.OpenApi;

/// <summary>The OpenAPI document at <c>/openapi/v1.json</c>: the endpoints' metadata, and <see cref="OpenApiExamples"/>.</summary>
public static class OpenApiDocument
{
    public static void AddOpenApiDocument(this IHostApplicationBuilder builder) => builder.Services.AddOpenApi(options =>
    {
        // HEAD is the same operation as GET.
        options.ShouldInclude = description => description.HttpMethod != HttpMethods.Head;
        options.AddDocumentTransformer((document, context, _) =>
        {
            document.Info = new OpenApiInfo
            {
                Title = "Ledger",
                Version = "v1",
                Description = """
                    Deposits, withdrawals, transfers and balances per currency. Amounts are decimal strings in major units.
                    Errors are problem details (RFC 9457) with a stable `code`; too large headers get 431 without a body.
                    Unknown fields and parameters are refused.

                    To try the API here: **Register** Alice and Bob, **Login** as Alice, copy the `accessToken` of the response to
                    **Authentication**, and deposit. The examples work unchanged.

                    Users move and read their own money. The backend of a company calls with an API key of a service account and names the user in
                    `onBehalfOf`: in the body of a command, with scope `transactions`, and as a query parameter of a read, with scope `read`.
                    """,
            };
            // Relative, because the server does not know under which address clients reach it.
            var prefix = context.ApplicationServices.GetRequiredService<IOptions<HttpOptions>>().Value.PathPrefix;
            document.Servers = [new OpenApiServer { Url = $"{prefix}/" }];
            document.Components ??= new OpenApiComponents();
            document.Components.SecuritySchemes ??= new Dictionary<string, IOpenApiSecurityScheme>();
            document.Components.SecuritySchemes["bearer"] = new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.Http,
                Scheme = "bearer",
                Description = "The `accessToken` of POST /api/v1/identity/login, or an API key of a service account (`lk_…`).",
            };
            if (ProviderOf(context.ApplicationServices) is { } provider)
            {
                document.Components.SecuritySchemes["oidc"] = new OpenApiSecurityScheme
                {
                    Type = SecuritySchemeType.OpenIdConnect,
                    OpenIdConnectUrl = new Uri($"{provider.TrimEnd('/')}/.well-known/openid-configuration"),
                    Description = $"An access token of {provider}.",
                };
            }
            return Task.CompletedTask;
        });
        options.AddOperationTransformer((operation, context, _) =>
        {
            var metadata = context.Description.ActionDescriptor.EndpointMetadata;
            if (metadata.OfType<IAuthorizeData>().Any() && !metadata.OfType<IAllowAnonymous>().Any())
            {
                operation.Security = [Requirement("bearer")];
                if (ProviderOf(context.ApplicationServices) is not null)
                    operation.Security.Add(Requirement("oidc"));
            }
            if (metadata.OfType<AcceptsCommandHeaders>().Any())
            {
                operation.Parameters ??= [];
                operation.Parameters.Add(Header("Idempotency-Key"));
                operation.Parameters.Add(Header("Prefer"));
            }
            if (metadata.OfType<AnswersCsv>().Any())
                operation.Responses!["200"].Content!["text/csv"] = new OpenApiMediaType { Schema = new OpenApiSchema { Type = JsonSchemaType.String } };
            foreach (var keyed in (operation.Parameters ?? []).OfType<OpenApiParameter>().Where(parameter => parameter is { In: ParameterLocation.Query, Name: QueryParameters.Metadata }))
            {
                // metadata[key]=value
                keyed.Style = ParameterStyle.DeepObject;
                keyed.Explode = true;
                keyed.Schema = new OpenApiSchema { Type = JsonSchemaType.Object, AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.String } };
            }
            OpenApiExamples.AddTo(operation, $"/{context.Description.RelativePath?.TrimEnd('/')}");
            return Task.CompletedTask;

            OpenApiSecurityRequirement Requirement(string scheme) => new() { [new OpenApiSecuritySchemeReference(scheme, context.Document)] = [] };
        });
        options.CreateSchemaReferenceId = type => type.Type == typeof(JsonElement) || type.Type == typeof(JsonElement?) ? null : OpenApiOptions.CreateDefaultSchemaReferenceId(type);
        options.AddSchemaTransformer((schema, context, _) =>
        {
            if (context.JsonTypeInfo.Type == typeof(ProblemDetails) && context.JsonPropertyInfo is null)
                DescribeProblem(schema);
            else
                Refine(schema, context);
            return Task.CompletedTask;
        });
    });

    // Null without an external provider.
    private static string? ProviderOf(IServiceProvider services) =>
        services.GetRequiredService<IOptions<OidcSettings>>().Value.Authority is { Length: > 0 } authority ? authority : null;

    private static OpenApiParameter Header(string name) => new()
    {
        Name = name,
        In = ParameterLocation.Header,
        Schema = new OpenApiSchema { Type = JsonSchemaType.String },
    };

    private static void Refine(OpenApiSchema schema, OpenApiSchemaTransformerContext context)
    {
        if (schema.Enum?.Count > 0)
            schema.Type ??= JsonSchemaType.String;

        // Required fields are nullable in code: CommandReader and the endpoints report all missing fields at once.
        if (context.JsonTypeInfo.Type.Name.EndsWith("Request", StringComparison.Ordinal))
        {
            foreach (var name in schema.Required ?? new HashSet<string>())
            {
                if (schema.Properties?[name] is OpenApiSchema property)
                    property.Type &= ~JsonSchemaType.Null;
            }
        }

        switch (context.JsonPropertyInfo?.Name)
        {
            case "amount" or "posted" or "held" or "available" or "balanceAfter" or "openingBalance" or "closingBalance" or "creditLimit" or "required" or "position":
                schema.Format = "decimal";
                schema.Pattern = context.JsonPropertyInfo.DeclaringType.Name.EndsWith("Request", StringComparison.Ordinal)
                    ? @"^[0-9]+(\.[0-9]+)?$"
                    : @"^-?[0-9]+(\.[0-9]+)?$";
                break;
            case "currency":
                schema.Pattern = "^[A-Z0-9]{3,12}$";
                break;
            case "email":
                schema.Format = "email";
                break;
            case "password":
                schema.Format = "password";
                break;
            case "metadata" when schema.AdditionalProperties is null:
                schema.Type = JsonSchemaType.Object | JsonSchemaType.Null;
                schema.AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.String };
                break;
        }
    }

    private static void DescribeProblem(OpenApiSchema schema)
    {
        schema.Description = "RFC 9457. `code` is stable; some codes have fields of their own, such as `available` and `required`.";
        schema.Required = new HashSet<string> { "type", "title", "status", "code", "traceId" };
        schema.AdditionalPropertiesAllowed = true;
        schema.AdditionalProperties = null;
        schema.Properties = new Dictionary<string, IOpenApiSchema>
        {
            ["type"] = Text("`urn:ledger:problem:` followed by the code.", "uri"),
            ["title"] = Text("The code in words."),
            ["status"] = new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int32", Description = "The HTTP status." },
            ["detail"] = Text("An explanation of this occurrence, for people."),
            ["instance"] = Text("The path of the request.", "uri-reference"),
            ["code"] = Text("The kind of problem, for programs; stable."),
            ["traceId"] = Text("The W3C trace id of the request, which logs and traces have too.", pattern: "^[0-9a-f]{32}$"),
            ["errors"] = new OpenApiSchema
            {
                Type = JsonSchemaType.Object,
                Description = "With `validation_failed` and `amount_precision`: the errors of each field.",
                AdditionalProperties = new OpenApiSchema { Type = JsonSchemaType.Array, Items = new OpenApiSchema { Type = JsonSchemaType.String } },
            },
            ["index"] = new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int32", Description = "With a journal: the place of the posting, from 0." },
            ["transactionId"] = Text("With a rejected command: the id of its transaction.", "uuid"),
        };

        static OpenApiSchema Text(string description, string? format = null, string? pattern = null) =>
            new() { Type = JsonSchemaType.String, Description = description, Format = format, Pattern = pattern };
    }
}
