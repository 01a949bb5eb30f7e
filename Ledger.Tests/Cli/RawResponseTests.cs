using System.Text;
using Ledger.Cli.Bench;

namespace Ledger.Tests.Cli;

public sealed class RawResponseTests
{
    private const string Plain = "HTTP/1.1 201 Created\r\ncontent-length: 5\r\nDate: today\r\n\r\nhello";
    private const string Chunked = "HTTP/1.1 422 Unprocessable Entity\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\na\r\nlo\r\n\r\nworl\r\n1\r\nd\r\n0\r\n\r\n";
    private const string Empty = "HTTP/1.1 204 No Content\r\n\r\n";

    [Theory]
    [InlineData(Plain, 201, "hello")]
    [InlineData(Chunked, 422, "hello\r\n\r\nworld")]
    [InlineData(Empty, 204, "")]
    public void A_response_is_complete_with_its_last_byte_and_not_before(string text, int status, string body)
    {
        var bytes = Encoding.ASCII.GetBytes(text);

        for (var length = 0; length < bytes.Length; length++)
            Assert.False(RawResponse.TryParse(bytes.AsSpan(0, length), out _));
        Assert.True(RawResponse.TryParse(bytes, out var response));
        Assert.Equal(status, response.Status);
        Assert.Equal(body, response.BodyOf(bytes));
    }

    [Theory]
    [InlineData("SSH-2.0-OpenSSH\r\n\r\n")]
    [InlineData("HTTP/1.1 20\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n")]
    [InlineData("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n")]
    public void Bytes_that_are_not_a_response_are_refused(string text) =>
        Assert.Throws<IOException>(() => RawResponse.TryParse(Encoding.ASCII.GetBytes(text), out _));
}
