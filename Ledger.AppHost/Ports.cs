using System.Collections.Concurrent;
using System.Net.NetworkInformation;

namespace Ledger.AppHost;

/// <summary>TCP ports of this machine.</summary>
internal static class Ports
{
    // Below 32768, from where on the kernel takes ports for outgoing connections: a server that is started again
    // must find its port free.
    private const int First = 20_000;
    private const int Last = 32_000;

    private static readonly ConcurrentDictionary<int, bool> s_given = new();

    /// <summary><paramref name="port"/> if nothing listens there, or any free port for 0. Aspire itself never reports a port that is in use.</summary>
    /// <param name="port">A port, or 0.</param>
    /// <param name="user">What needs it, for the message.</param>
    /// <param name="option">The option that chooses another one, for the message.</param>
    /// <exception cref="DistributedApplicationException">The port is in use.</exception>
    public static int Claim(int port, string user, string option)
    {
        if (port == 0)
            return Free();
        if (IsListenedOn(port))
            throw new DistributedApplicationException($"port {port} for {user} is in use: stop the program that listens there, or choose another port with {option}.");
        return port;
    }

    /// <summary>A port that nothing listens on and that this process has not given out before.</summary>
    public static int Free()
    {
        for (var attempt = 0; attempt < 1000; attempt++)
        {
            var port = Random.Shared.Next(First, Last);
            if (!IsListenedOn(port) && s_given.TryAdd(port, true))
                return port;
        }
        throw new DistributedApplicationException($"found no free port between {First} and {Last}.");
    }

    /// <summary>Whether a program listens on the port.</summary>
    // The kernel's table of listeners, not a bind: a bind also fails on connections in TIME_WAIT, which do not disturb a server.
    public static bool IsListenedOn(int port) =>
        IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Any(listener => listener.Port == port);
}
