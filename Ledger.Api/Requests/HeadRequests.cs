namespace Ledger.Api.Requests;

/// <summary>HEAD, which every server must support where it does GET (RFC 9110, section 9.1).</summary>
public static class HeadRequests
{
    /// <summary>Whatever is read here can be asked for its head: it is answered as GET is, and the server leaves the body out.</summary>
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
