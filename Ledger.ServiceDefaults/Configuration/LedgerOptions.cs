using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Ledger.ServiceDefaults;

/// <summary>Options of the services: configuration keys below <c>Ledger</c>, in the environment <c>Ledger__…</c>.</summary>
public static class LedgerOptions
{
    private const string Root = "Ledger";

    /// <summary>The keys directly below <c>Ledger</c>, of all services.</summary>
    /// <remarks>
    /// Each feature registers its own section, but API and worker may share one environment: a process must accept the sections
    /// of the other service, whose code it does not contain. So this list names them all.
    /// </remarks>
    public static IReadOnlySet<string> Sections { get; } = new HashSet<string>(StringComparer.OrdinalIgnoreCase)
    {
        "Audit", "Gateway", "Http", "Identity", "Journal", "Metrics", "Oidc", "RateLimit", "SelfServiceDepositLimit", "SelfServiceDeposits", "Telemetry", "Verification", "Worker",
    };

    /// <summary>
    /// Binds <typeparamref name="TOptions"/> to the configuration section <c>Ledger:<paramref name="section"/></c> and validates its
    /// annotations when the process starts. Unknown names in the section are rejected, so that a typo does not silently select the
    /// default.
    /// </summary>
    /// <exception cref="ArgumentException"><paramref name="section"/> is not one of <see cref="Sections"/>.</exception>
    public static OptionsBuilder<TOptions> AddLedgerOptions<TOptions>(this IHostApplicationBuilder builder, string section) where TOptions : class
    {
        if (!Sections.Contains(section))
            throw new ArgumentException($"{nameof(LedgerOptions)}.{nameof(Sections)} does not list the section {section}.", nameof(section));
        return builder.Services.AddOptions<TOptions>()
            .BindConfiguration($"{Root}:{section}", binder => binder.ErrorOnUnknownConfiguration = true)
            .ValidateDataAnnotations()
            .ValidateOnStart();
    }

    /// <summary>Reads the options of a section before the host is built. They are not validated.</summary>
    internal static TOptions ReadLedgerOptions<TOptions>(this IConfiguration configuration, string section) where TOptions : class, new() =>
        configuration.GetSection($"{Root}:{section}").Get<TOptions>() ?? new();

    /// <exception cref="ConfigurationException">A key directly below <c>Ledger</c> is not one of <see cref="Sections"/>.</exception>
    internal static void RefuseUnknownSections(IConfiguration configuration)
    {
        foreach (var section in configuration.GetSection(Root).GetChildren())
        {
            if (!Sections.Contains(section.Key))
                throw new ConfigurationException($"{Root}__{section.Key} is not an option.");
        }
    }
}
