//! What the gateway takes for a name: `<label>.localhost:<port>` and `<label>.mesh`.

use http::header::HOST;
use http::{HeaderMap, Uri};

/// Where a request wants to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// A hashname or a contact's name, in lower case.
    pub(super) label: String,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A web origin of this gateway.
    Localhost,
    /// A host behind the forward proxy.
    Mesh,
}

impl Name {
    /// The name that a request is for; `None` if it has none, or two, or one that is not ours.
    pub(super) fn of(uri: &Uri, headers: &HeaderMap, port: u16) -> Option<Self> {
        let mut hosts = headers.get_all(HOST).into_iter();
        let host = hosts.next().map(|host| host.to_str()).transpose().ok()?;
        if hosts.next().is_some() {
            return None;
        }
        let target = uri.authority().map(http::uri::Authority::as_str);
        let authority = match (target, host) {
            (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => return None,
            (Some(one), _) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        // With a whole URL it must be one that we speak.
        if uri.scheme_str().is_some_and(|scheme| scheme != "http") {
            return None;
        }
        Self::parse(authority, port)
    }

    fn parse(authority: &str, port: u16) -> Option<Self> {
        let (host, asked) = match authority.rsplit_once(':') {
            Some((host, asked)) => {
                (host, asked.parse().ok().filter(|_| asked.bytes().all(|b| b.is_ascii_digit()))?)
            }
            None => (authority, HTTP_PORT),
        };
        let host = host.to_ascii_lowercase();
        let (label, kind, expected) = if let Some(label) = host.strip_suffix(".localhost") {
            (label, Kind::Localhost, port)
        } else {
            (host.strip_suffix(".mesh")?, Kind::Mesh, HTTP_PORT)
        };
        let is_label =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        let fits = !label.is_empty() && label.len() <= MAX_LABEL && label.bytes().all(is_label);
        (fits && asked == expected).then(|| Self { label: label.to_owned(), kind })
    }

    /// The web origin (RFC 6454) that pages of this name have.
    pub(super) fn origin(&self, port: u16) -> String {
        match self.kind {
            Kind::Localhost => format!("http://{}", with_port(&format!("{}.localhost", self.label), port)),
            Kind::Mesh => format!("http://{}.mesh", self.label),
        }
    }
}

/// As browsers write it: without the port that goes without saying.
pub(super) fn with_port(host: &str, port: u16) -> String {
    if port == HTTP_PORT { host.to_owned() } else { format!("{host}:{port}") }
}

const HTTP_PORT: u16 = 80;

/// Bytes of a part of a host name (RFC 1035, section 2.3.4). A hashname has 52.
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn name(uri: &str, hosts: &[&str]) -> Option<(String, Kind)> {
        let mut request = Request::get(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let request = request.body(()).unwrap();
        Name::of(request.uri(), request.headers(), 8117).map(|name| (name.label, name.kind))
    }

    #[test]
    fn names_under_localhost_and_mesh() {
        let local = Some(("bob".to_owned(), Kind::Localhost));
        assert_eq!(name("/", &["bob.localhost:8117"]), local);
        assert_eq!(name("/", &["Bob.LocalHost:8117"]), local);
        assert_eq!(name("http://bob.localhost:8117/", &["bob.localhost:8117"]), local);
        let mesh = Some(("bob".to_owned(), Kind::Mesh));
        assert_eq!(name("http://bob.mesh/", &["bob.mesh"]), mesh);
        assert_eq!(name("http://bob.mesh/", &[]), mesh);
        assert_eq!(name("http://bob.mesh:80/", &["bob.mesh:80"]), mesh);
    }

    #[test]
    fn everything_else_is_nobody() {
        for host in [
            "localhost:8117",
            "127.0.0.1:8117",
            "[::1]:8117",
            "evil.example:8117",
            "bob.localhost.evil.example:8117",
            "bob.localhost",
            "bob.localhost:80",
            "bob.localhost:8118",
            "bob.localhost:+8117",
            "bob.localhost:",
            "bob.localhost.:8117",
            ".localhost:8117",
            "a.bob.localhost:8117",
            "user@bob.localhost:8117",
            "bob.mesh:8117",
            "",
        ] {
            assert_eq!(name("/", &[host]), None, "{host:?}");
        }
        assert_eq!(name("/", &[]), None);
        assert_eq!(name("/", &["bob.localhost:8117", "bob.localhost:8117"]), None);
        assert_eq!(name("http://bob.mesh/", &["eve.mesh"]), None);
        assert_eq!(name("https://bob.mesh/", &["bob.mesh"]), None);
        let long = format!("{}.localhost:8117", "a".repeat(64));
        assert_eq!(name("/", &[&long]), None);
    }

    #[test]
    fn origins_are_written_as_browsers_do() {
        let name = |kind| Name { label: "bob".to_owned(), kind };
        assert_eq!(name(Kind::Localhost).origin(8117), "http://bob.localhost:8117");
        assert_eq!(name(Kind::Localhost).origin(80), "http://bob.localhost");
        assert_eq!(name(Kind::Mesh).origin(8117), "http://bob.mesh");
    }
}
