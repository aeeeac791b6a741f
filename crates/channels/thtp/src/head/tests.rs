//! Heads there and back, at their limits, and in every way in which two readers could be made to disagree.

use proptest::prelude::*;

use super::*;
use crate::limits::{MAX_HEADER, MAX_HEADER_LIST, MAX_HEADERS};

/// A list of headers as a hostile peer may send it.
fn block(fields: &[(&str, &str)]) -> Bytes {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        for part in [name, value] {
            bytes.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
            bytes.extend(part.as_bytes());
        }
    }
    bytes.into()
}

fn request_error(fields: &[(&str, &str)]) -> HeadError {
    read_request(block(&[&[(":method", "POST"), (":path", "/")], fields].concat())).unwrap_err()
}

fn response_error(fields: &[(&str, &str)]) -> HeadError {
    read_response(block(fields)).unwrap_err()
}

fn write(request: Request<()>) -> Result<Bytes, HeadError> {
    write_request(request.into_parts().0, "peer.mesh").map(|(block, _)| block)
}

#[test]
fn a_request_arrives_as_a_path_with_its_host() {
    let request = Request::builder()
        .method("PUT")
        .uri("http://example.mesh:8080/a/b?c=d")
        .header("x-one", "1")
        .header("x-one", "2")
        .header("content-length", "3")
        .body(())
        .unwrap();
    let head = read_request(write(request).unwrap()).unwrap();
    assert_eq!(head.request.method(), "PUT");
    assert_eq!(head.request.uri(), "/a/b?c=d");
    assert_eq!(head.request.headers()["host"], "example.mesh:8080");
    assert_eq!(head.request.headers().get_all("x-one").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(head.length, Some(3));
    assert_eq!(head.protocol, None);
}

#[test]
fn a_request_without_a_host_has_the_peers() {
    let head = read_request(write(Request::get("/").body(()).unwrap()).unwrap()).unwrap();
    assert_eq!(head.request.headers()["host"], "peer.mesh");
    let named = Request::get("/").header("host", "other.example").body(()).unwrap();
    assert_eq!(read_request(write(named).unwrap()).unwrap().request.headers()["host"], "other.example");
}

#[test]
fn what_concerns_one_connection_is_not_carried() {
    let request = Request::get("/")
        .header("connection", "close, X-Hop")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-authorization", "Basic c2VjcmV0")
        .header("proxy-connection", "close")
        .header("te", "gzip, trailers")
        .header("transfer-encoding", "chunked")
        .header("x-kept", "1")
        .body(())
        .unwrap();
    let head = read_request(write(request).unwrap()).unwrap();
    let mut names: Vec<_> = head.request.headers().keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "te", "x-kept"]);
    assert_eq!(head.request.headers()["te"], "trailers");
}

#[test]
fn an_upgrade_arrives_as_one() {
    let request = Request::get("/chat")
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .body(())
        .unwrap();
    let head = read_request(write(request).unwrap()).unwrap();
    assert_eq!(head.protocol.unwrap(), "websocket");
    assert_eq!(head.request.headers()["connection"], "upgrade");
    assert_eq!(head.request.headers()["upgrade"], "websocket");
    // Not with a body, and not to something with commas and spaces.
    let upgrade = (":protocol", "websocket");
    let read = |fields: &[(&str, &str)]| read_request(block(fields)).unwrap_err();
    assert_eq!(read(&[(":method", "POST"), (":path", "/"), upgrade]), HeadError::Upgrade);
    let get = [(":method", "GET"), (":path", "/")];
    assert_eq!(read(&[&get[..], &[upgrade, ("content-length", "1")]].concat()), HeadError::Upgrade);
    assert_eq!(read(&[&get[..], &[(":protocol", "a, b")]].concat()), HeadError::Upgrade);
    assert_eq!(response_error(&[(":status", "101")]), HeadError::Upgrade);
    assert_eq!(response_error(&[(":status", "200"), upgrade]), HeadError::Upgrade);
}

#[test]
fn lengths_that_two_readers_may_read_in_two_ways() {
    for fields in [
        &[("content-length", "1"), ("content-length", "2")][..],
        &[("content-length", "1"), ("content-length", "1")],
        &[("content-length", "1, 1")],
        &[("content-length", "+1")],
        &[("content-length", "-1")],
        &[("content-length", "0x10")],
        &[("content-length", "1_0")],
        &[("content-length", "")],
        &[("content-length", "18446744073709551616")],
    ] {
        assert_eq!(request_error(fields), HeadError::ContentLength, "{fields:?}");
        assert_eq!(response_error(&[&[(":status", "200")], fields].concat()), HeadError::ContentLength);
    }
    let both = [("content-length", "1"), ("transfer-encoding", "chunked")];
    assert_eq!(request_error(&both), HeadError::Forbidden("transfer-encoding"));
    assert_eq!(
        request_error(&[("transfer-encoding", "xchunked")]),
        HeadError::Forbidden("transfer-encoding")
    );
    // Not sent either, so that nobody who forwards makes two of one.
    let both =
        Request::post("/").header("content-length", "1").header("transfer-encoding", "chunked").body(());
    assert_eq!(write(both.unwrap()).unwrap_err(), HeadError::Forbidden("transfer-encoding"));
    let two = Request::post("/").header("content-length", "1").header("content-length", "1").body(());
    assert_eq!(write(two.unwrap()).unwrap_err(), HeadError::ContentLength);
}

#[test]
fn values_that_would_make_other_headers() {
    for value in ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "\u{7f}", " a", "a ", "\ta", "a\u{b}b"] {
        assert_eq!(request_error(&[("x", value)]), HeadError::Value, "{value:?}");
        assert_eq!(response_error(&[(":status", "200"), ("x", value)]), HeadError::Value, "{value:?}");
    }
    assert!(read_request(block(&[(":method", "GET"), (":path", "/"), ("x", "a\tb \u{e9}")])).is_ok());
}

#[test]
fn names_that_are_none() {
    for name in ["", "X", "x y", "x:", "x\r\n", "x\0", "content-length ", " content-length", "é", "a(b)"] {
        assert_eq!(request_error(&[(name, "1")]), HeadError::Name, "{name:?}");
    }
    for name in ["connection", "keep-alive", "proxy-connection", "upgrade", "proxy-authorization"] {
        assert_eq!(request_error(&[(name, "x")]), HeadError::Forbidden(name));
    }
    assert_eq!(request_error(&[("te", "gzip")]), HeadError::Forbidden("te"));
}

#[test]
fn names_with_a_colon_where_they_do_not_belong() {
    assert_eq!(request_error(&[(":method", "GET")]), HeadError::Pseudo);
    assert_eq!(request_error(&[(":scheme", "http")]), HeadError::Pseudo);
    assert_eq!(request_error(&[(":status", "200")]), HeadError::Pseudo);
    assert_eq!(request_error(&[(":", "x")]), HeadError::Pseudo);
    assert_eq!(request_error(&[("x", "1"), (":authority", "a")]), HeadError::Pseudo);
    assert_eq!(response_error(&[(":status", "200"), (":path", "/")]), HeadError::Pseudo);
    let read = |fields: &[(&str, &str)]| read_request(block(fields)).unwrap_err();
    assert_eq!(read(&[(":method", "GET")]), HeadError::Missing(":path"));
    assert_eq!(read(&[(":path", "/")]), HeadError::Missing(":method"));
    assert_eq!(response_error(&[]), HeadError::Missing(":status"));
}

#[test]
fn targets_that_are_no_paths() {
    let read = |method, path| read_request(block(&[(":method", method), (":path", path)]));
    for path in [
        "",
        "a",
        "http://evil.example/",
        "//evil.example\\",
        "/a b",
        "/a\r\nHost: b",
        "/a#b",
        "/é",
        "*",
        "/\0",
        "/a\\b",
    ] {
        assert_eq!(read("GET", path).unwrap_err(), HeadError::Path, "{path:?}");
    }
    assert_eq!(read("OPTIONS", "*").unwrap().request.uri(), "*");
    assert_eq!(read("GET", "/../..//%2e%2e/?q=/../").unwrap().request.uri(), "/../..//%2e%2e/?q=/../");
    let longest = "M".repeat(MAX_METHOD);
    assert!(read(&longest, "/").is_ok());
    let past = format!("{longest}M");
    for method in ["CONNECT", "", "G T", "GET\r\n", &past] {
        assert_eq!(read(method, "/").unwrap_err(), HeadError::Method, "{method:?}");
    }
}

#[test]
fn hosts_that_two_readers_may_read_in_two_ways() {
    let read = |fields: &[(&str, &str)]| request_error(fields);
    assert_eq!(read(&[("host", "a"), ("host", "b")]), HeadError::Authority);
    assert_eq!(read(&[("host", "a"), ("host", "a")]), HeadError::Authority);
    assert_eq!(read(&[(":authority", "a"), ("host", "b")]), HeadError::Authority);
    for host in ["user@a", "a/b", "a b", "", "a,b", "http://a"] {
        assert_eq!(read(&[(":authority", host)]), HeadError::Authority, "{host:?}");
        assert_eq!(read(&[("host", host)]), HeadError::Authority, "{host:?}");
    }
}

#[test]
fn statuses_that_are_none() {
    for status in ["", "20", "2000", "099", "abc", "+20", " 200"] {
        assert_eq!(response_error(&[(":status", status)]), HeadError::Status, "{status:?}");
    }
}

#[test]
fn a_header_at_its_limit_and_past_it() {
    let value = "v".repeat(MAX_HEADER - 1);
    assert!(read_response(block(&[(":status", "200"), ("x", &value)])).is_ok());
    let past = value + "v";
    assert_eq!(response_error(&[(":status", "200"), ("x", &past)]), HeadError::HeaderTooLong(MAX_HEADER + 1));
    let request = Request::get("/").header("x", &past).body(()).unwrap();
    assert_eq!(write(request).unwrap_err(), HeadError::HeaderTooLong(MAX_HEADER + 1));
}

#[test]
fn as_many_headers_as_allowed_and_one_more() {
    let mut fields = vec![(":status", "200")];
    fields.extend(vec![("x", ""); MAX_HEADERS]);
    assert_eq!(read_response(block(&fields)).unwrap().response.headers().len(), MAX_HEADERS);
    fields.push(("x", ""));
    assert_eq!(response_error(&fields), HeadError::TooMany);
}

#[test]
fn a_list_at_its_limit_and_past_it() {
    // Each header costs four bytes besides name and value, and so does the status with its ten.
    let large = "v".repeat(15_000);
    let list = |last: usize| {
        let last = "v".repeat(last);
        block(&[(":status", "200"), ("a", &large), ("b", &large), ("c", &large), ("d", &large), ("e", &last)])
    };
    let rest = MAX_HEADER_LIST - (4 + 10) - 4 * (4 + 1 + large.len()) - (4 + 1);
    assert_eq!(list(rest).len(), MAX_HEADER_LIST);
    assert!(read_response(list(rest)).is_ok());
    assert_eq!(read_response(list(rest + 1)).unwrap_err(), HeadError::ListTooLong(MAX_HEADER_LIST + 1));
}

#[test]
fn lists_that_end_in_the_middle() {
    let whole = block(&[(":status", "200"), ("x", "y")]);
    for length in 1..whole.len() {
        // Cut between two headers it is a shorter list.
        let cut = read_response(whole.slice(..length));
        assert_eq!(cut.is_ok(), length == 14, "{length}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm_and_what_is_read_can_be_written(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = read_response(bytes.clone());
        if let Ok(head) = read_request(bytes) {
            prop_assert!(write(head.request).is_ok());
        }
    }

    #[test]
    fn what_was_written_is_read_again(
        method in "[A-Z]{1,10}",
        path in "/[a-z0-9/.?=&%-]{0,40}",
        headers in proptest::collection::vec(("x-[a-z0-9-]{1,20}", "([!-~]([ -~]{0,60}[!-~])?)?"), 0..20),
        length in proptest::option::of(any::<u64>()),
    ) {
        prop_assume!(method != "CONNECT");
        let mut request = Request::builder().method(method.as_str()).uri(&path);
        for (name, value) in &headers {
            request = request.header(name, value);
        }
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(()).unwrap();
        let head = read_request(write(request.clone()).unwrap()).unwrap();
        prop_assert_eq!(head.length, length);
        prop_assert_eq!(head.request.uri(), request.uri());
        let mut expected = request.headers().clone();
        expected.insert(HOST, HeaderValue::from_static("peer.mesh"));
        prop_assert_eq!(head.request.headers(), &expected);
        let again = read_request(write(head.request.clone()).unwrap()).unwrap();
        prop_assert_eq!(again.request.headers(), head.request.headers());
    }
}
