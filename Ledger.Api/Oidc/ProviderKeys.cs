using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.Extensions.Options;
using Microsoft.IdentityModel.Protocols;
using Microsoft.IdentityModel.Protocols.OpenIdConnect;

namespace Ledger.Api.Oidc;

/// <summary>The provider's metadata and keys. The framework reads them again in the background; the first read is bounded here.</summary>
internal sealed class ProviderKeys(IOptionsMonitor<JwtBearerOptions> options, TimeProvider clock)
{
    // While the provider does not answer, it is asked once in this time, however many requests there are.
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(2);

    private readonly IConfigurationManager<OpenIdConnectConfiguration> _manager = options.Get(OidcSetup.Scheme).ConfigurationManager!;
    private readonly Lock _reading = new();
    private volatile bool _areKnown;
    private Task<OpenIdConnectConfiguration>? _first;
    private long _firstAt;

    /// <summary>What the provider published last. Another object each time that it was read.</summary>
    /// <exception cref="TimeoutException">The provider has not answered since the process started.</exception>
    public async ValueTask<OpenIdConnectConfiguration> CurrentAsync(CancellationToken cancellationToken)
    {
        if (_areKnown)
            return await _manager.GetConfigurationAsync(cancellationToken);
        Task<OpenIdConnectConfiguration> first;
        lock (_reading)
        {
            if (_first is null || (_first.IsFaulted && clock.GetElapsedTime(_firstAt) > RetryInterval))
            {
                _first = Task.Run(() => _manager.GetConfigurationAsync(CancellationToken.None), CancellationToken.None);
                _firstAt = clock.GetTimestamp();
            }
            first = _first;
        }
        try
        {
            var configuration = await first.WaitAsync(cancellationToken);
            _areKnown = true;
            return configuration;
        }
        // The framework's exception for an address that does not answer, or not with metadata.
        catch (InvalidOperationException e)
        {
            throw new TimeoutException("The OpenID Connect provider's keys could not be read.", e);
        }
    }
}
