namespace Ledger.Api.Requests;

/// <summary>HEAD, which a server must support together with GET (RFC 9110, section 9.1).</summary>
public static class HeadRequests
{
    /// <summary>Lets every GET endpoint of the group answer HEAD as well. Kestrel omits the body.</summary>
    public static RouteGroupBuilder AnswerHead(this RouteGroupBuilder group)
    {
        ((IEndpointConventionBuilder)group).Add(endpoint =>
        {
            if (endpoint.Metadata.OfType<IHttpMethodMetadata>().LastOrDefault() is { } asked
                && asked.HttpMethods.Contains(HttpMethods.Get) && !asked.HttpMethods.Contains(HttpMethods.Head))
                endpoint.Metadata.Add(new HttpMethodMetadata([.. asked.HttpMethods, HttpMethods.Head], asked.AcceptCorsPreflight));
        });
        return group;
    }
}
