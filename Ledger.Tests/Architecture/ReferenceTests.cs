using System.Reflection;
using Ledger.Core.Posting;

namespace Ledger.Tests.Architecture;

/// <summary>References point from Api, Worker and Cli to Core. Core references neither HTTP nor hosting.</summary>
public sealed class ReferenceTests
{
    private static readonly Assembly Core = typeof(PostingEngine).Assembly;
    private static readonly Assembly Worker = Assembly.Load("Ledger.Worker");
    private static readonly Assembly Api = typeof(Ledger.Api.Transactions.TransactionQueries).Assembly;

    [Theory]
    [InlineData("Microsoft.AspNetCore.Http")]
    [InlineData("Microsoft.AspNetCore.Hosting")]
    [InlineData("Microsoft.AspNetCore.Routing")]
    [InlineData("Microsoft.AspNetCore.Mvc")]
    [InlineData("Microsoft.Extensions.Hosting")]
    [InlineData("Ledger.")]
    public void Core_references_neither_HTTP_nor_hosting_nor_other_projects(string prefix) =>
        Assert.DoesNotContain(ReferencesOf(Core), name => name.StartsWith(prefix, StringComparison.Ordinal));

    [Fact]
    public void Posting_engine_knows_no_messaging() =>
        // No signature in the engine's namespace has a type of RabbitMQ or of the messages.
        Assert.DoesNotContain(
            typeof(PostingEngine).Assembly.GetTypes().Where(type => type.Namespace == typeof(PostingEngine).Namespace)
                .SelectMany(type => type.GetMembers(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly))
                .SelectMany(TypesIn),
            type => type.Assembly.GetName().Name is "RabbitMQ.Client" || type.Namespace == "Ledger.Core.Messaging");

    [Fact]
    public void Api_and_worker_do_not_reference_each_other()
    {
        Assert.DoesNotContain(Worker.GetName().Name!, ReferencesOf(Api));
        Assert.DoesNotContain(Api.GetName().Name!, ReferencesOf(Worker));
    }

    private static IEnumerable<string> ReferencesOf(Assembly assembly) => assembly.GetReferencedAssemblies().Select(name => name.Name!);

    private static IEnumerable<Type> TypesIn(MemberInfo member) => member switch
    {
        FieldInfo field => [field.FieldType],
        MethodInfo method => [method.ReturnType, .. method.GetParameters().Select(parameter => parameter.ParameterType)],
        ConstructorInfo constructor => constructor.GetParameters().Select(parameter => parameter.ParameterType),
        _ => [],
    };
}
