namespace Ledger.AppHost.Servers;

/// <summary>A server of this machine's own packages as a process, started by a script in this folder.</summary>
internal sealed class LocalServer(string name, string script, ReferenceExpression connectionString)
    : ExecutableResource(name, "bash", Path.GetDirectoryName(script)!), IResourceWithConnectionString
{
    /// <inheritdoc />
    public ReferenceExpression ConnectionStringExpression { get; } = connectionString;
}
