namespace Ledger.ServiceDefaults;

/// <summary>An option or connection string is unusable. The message is one line that names it.</summary>
public sealed class ConfigurationException(string message) : Exception(message);
