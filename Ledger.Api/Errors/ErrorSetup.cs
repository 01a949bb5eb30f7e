namespace Ledger.Api.Errors;

public static class ErrorSetup
{
    public static void AddErrors(this IHostApplicationBuilder builder)
    {
        // An unreadable body throws in every environment, so that ExceptionProblems answers it with a code.
        builder.Services.Configure<RouteHandlerOptions>(options => options.ThrowOnBadRequest = true);
        builder.Services.AddProblemDetails(options => options.CustomizeProblemDetails = problem => Problem.Complete(problem.HttpContext, problem.ProblemDetails));
        builder.Services.AddExceptionHandler<ExceptionProblems>();
    }

    public static void UseErrors(this WebApplication app)
    {
        app.UseExceptionHandler();
        app.UseStatusCodePages(status => Problem.OfStatus(status.HttpContext).ExecuteAsync(status.HttpContext));
    }
}
