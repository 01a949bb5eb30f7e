using System.Collections.Concurrent;
using System.Reflection;
using Xunit.v3;

namespace Ledger.Tests.Harness;

/// <summary>A test that fails says what the processes wrote last, as far as that is bounded.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class LogsOfFailuresAttribute : BeforeAfterTestAttribute
{
    private static readonly ConcurrentDictionary<string, Func<IEnumerable<string>>> Sources = new();

    /// <summary>Adds the lines of a system, or takes another in its place.</summary>
    public static void Watch(string name, Func<IEnumerable<string>> lines) => Sources[name] = lines;

    /// <summary>Takes a system's lines away.</summary>
    public static void Forget(string name) => Sources.TryRemove(name, out _);

    /// <inheritdoc />
    public override void After(MethodInfo methodUnderTest, IXunitTest test)
    {
        if (TestContext.Current.TestState is not { Result: TestResult.Failed } || TestContext.Current.TestOutputHelper is not { } output)
            return;
        foreach (var (name, lines) in Sources)
        {
            output.WriteLine($"--- {name}");
            foreach (var line in lines())
                output.WriteLine(line);
        }
    }
}
