//! Link URIs: what must be there, what may be, and what is refused.

use std::net::SocketAddr;

use telemesh_hashname::{CipherSetId, PublicKeys, base32};
use telemesh_wire::limits::DEFAULT_PORT;
use telemesh_wire::{
    Authority, Host, LinkInfo, LinkInfoError, LinkTarget, LinkUri, ParseLinkTargetError, ParseLinkUriError,
    PathAddress,
};

use crate::values::keys;

/// The query that says whose URI it is.
fn query() -> String {
    let key = |csid| base32::encode(keys().key(csid).unwrap());
    format!("cs11={}&cs21={}", key(CipherSetId::CS11), key(CipherSetId::CS21))
}

fn parse(text: &str) -> Result<LinkUri, ParseLinkUriError> {
    text.parse()
}

#[test]
fn host_and_port_are_an_address_or_a_name() {
    let uri = parse(&format!("link://192.0.2.1:5000/?{}", query())).unwrap();
    assert_eq!(uri.link().hashname(), keys().hashname().unwrap());
    assert_eq!(uri.addresses().collect::<Vec<_>>(), ["udp:192.0.2.1:5000".parse().unwrap()]);

    let uri = parse(&format!("link://[2001:db8::1]/?{}", query())).unwrap();
    assert_eq!(uri.addresses().collect::<Vec<_>>(), ["udp:[2001:db8::1]:42424".parse().unwrap()]);

    let uri = parse(&format!("link://Mesh.Example.org/?{}", query())).unwrap();
    let authority = uri.authority().unwrap();
    assert_eq!(authority.host(), &Host::Name("mesh.example.org".to_owned()));
    assert_eq!(authority.port(), DEFAULT_PORT);
    assert_eq!(authority.socket_address(), None);
    assert_eq!(uri.addresses().count(), 0);

    let uri = parse(&format!("link:///?{}", query())).unwrap();
    assert_eq!(uri.authority(), None);
    assert_eq!(parse(&format!("link://?{}", query())), Ok(uri));
}

#[test]
fn bad_hosts_and_ports_are_refused() {
    for authority in [
        "host:0",
        "host:65536",
        "host:+5",
        "host:-5",
        "host:5a",
        "host:1:2",
        "2001:db8::1",
        "[2001:db8::1",
        "[2001:db8::1]5",
        "[192.0.2.1]",
        "[::]",
        "0.0.0.0",
        "224.0.0.1",
        "127.1",
        "1.2.3.4.5",
        "host.127",
        "user@host",
        "ho%73t",
        "a..b",
        ".",
        ":5000",
        &"h".repeat(254),
    ] {
        let text = format!("link://{authority}/?{}", query());
        assert_eq!(parse(&text), Err(ParseLinkUriError::Authority), "{authority}");
        assert_eq!(authority.parse::<Authority>(), Err(ParseLinkUriError::Authority), "{authority}");
    }
    // A colon without a port is the default port in RFC 3986, but nobody means to write it.
    assert_eq!("host:".parse::<Authority>(), Err(ParseLinkUriError::Authority));
}

#[test]
fn an_authority_is_made_from_an_address_that_can_be_reached() {
    let address: SocketAddr = "[::ffff:192.0.2.1]:42424".parse().unwrap();
    assert_eq!(Authority::try_from(address).unwrap().to_string(), "192.0.2.1");
    let address: SocketAddr = "[2001:db8::1]:1".parse().unwrap();
    assert_eq!(Authority::try_from(address).unwrap().to_string(), "[2001:db8::1]:1");
    for wildcard in ["0.0.0.0:42424", "[::]:42424", "192.0.2.1:0"] {
        assert!(Authority::try_from(wildcard.parse::<SocketAddr>().unwrap()).is_err());
    }
}

#[test]
fn applications_bring_their_own_scheme() {
    let uri = parse(&format!("My-App+v1.0://host/?{}", query())).unwrap();
    assert_eq!(uri.scheme(), "my-app+v1.0");
    assert!(uri.to_string().starts_with("my-app+v1.0://host/?"));
    for scheme in ["", "1app", "my_app", "+", &"s".repeat(33)] {
        assert!(parse(&format!("{scheme}://host/?{}", query())).is_err(), "{scheme}");
    }
    assert!(LinkUri::new(LinkInfo::new(keys()).unwrap()).with_scheme("Upper").is_err());
    assert_eq!(parse("link:host"), Err(ParseLinkUriError::NoScheme));
}

#[test]
fn paths_are_a_list_in_the_query() {
    let text = format!("link://host/?{}&paths=udp:192.0.2.1:1,,quic:[2001:db8::1]:443,tcp:later", query());
    let uri = parse(&text).unwrap();
    let expected: Vec<PathAddress> =
        ["udp:192.0.2.1:1", "quic:[2001:db8::1]:443"].map(|path| path.parse().unwrap()).to_vec();
    assert_eq!(uri.addresses().collect::<Vec<_>>(), expected);
    // Brackets are not allowed in a query, so they are written encoded; the path of an unknown kind is still there.
    let written = uri.to_string();
    assert!(written.ends_with("&paths=udp:192.0.2.1:1,quic:%5B2001:db8::1%5D:443,tcp:later"), "{written}");
    assert_eq!(parse(&written), Ok(uri));

    let bad = format!("link://host/?{}&paths=later:x,udp:192.0.2.1:0", query());
    assert!(matches!(parse(&bad), Err(ParseLinkUriError::Link(LinkInfoError::Path { index: 1, .. }))));
}

#[test]
fn one_of_several_keys_is_never_another_endpoint() {
    let full = query();
    let (first, second) = full.split_once('&').unwrap();
    for alone in [first, second] {
        assert_eq!(
            parse(&format!("link://host/?{alone}")),
            Err(ParseLinkUriError::Link(LinkInfoError::OneKeyAlone))
        );
        let named = format!("link://host/?{alone}&hn={}", keys().hashname().unwrap());
        assert_eq!(parse(&named), Err(ParseLinkUriError::Link(LinkInfoError::WrongHashname)));
    }
    let digest = base32::encode(keys().digest(CipherSetId::CS21).unwrap().as_bytes());
    let uri = parse(&format!("link://host/?{first}&d21={digest}")).unwrap();
    assert_eq!(uri.link().hashname(), keys().hashname().unwrap());
    assert_eq!(parse(&uri.to_string()), Ok(uri));
}

#[test]
fn the_hashname_is_written_only_where_it_is_needed() {
    assert!(!LinkUri::new(LinkInfo::new(keys()).unwrap()).to_string().contains("hn="));
    let mut single = PublicKeys::new();
    single.insert_key(CipherSetId::CS21, &[1; 32]).unwrap();
    for info in [LinkInfo::new(single).unwrap(), LinkInfo::unresolved(keys().hashname().unwrap())] {
        let uri = LinkUri::new(info);
        assert!(uri.to_string().contains("hn="));
        assert_eq!(parse(&uri.to_string()), Ok(uri));
    }
    assert_eq!(parse("link://host/"), Err(ParseLinkUriError::Link(LinkInfoError::NoHashname)));
}

#[test]
fn a_usual_invite_fits_a_small_qr_code() {
    let uri = LinkUri::new(LinkInfo::new(keys()).unwrap())
        .with_authority("203.0.113.200:42424".parse().unwrap())
        .with_invite(telemesh_wire::InviteSecret::from_bytes([7; 32]));
    // What a QR code of version 10 (57 by 57 modules) holds at error correction level L, in bytes.
    assert!(uri.to_secret_string().len() <= 271, "{}", uri.to_secret_string().len());
}

#[test]
fn parameters_of_a_newer_build_are_skipped() {
    let text = format!("link://host/?x=1&{}&csxx=no&cs=&d=&flag&y=%zz", query());
    let uri = parse(&text).unwrap();
    assert_eq!(uri.link().keys(), &keys());
}

#[test]
fn a_parameter_that_is_there_twice_is_refused() {
    for name in ["cs11", "paths", "sid", "x", "hn"] {
        let text = format!("link://host/?{}&{name}=&{name}=", query());
        assert_eq!(parse(&text), Err(ParseLinkUriError::DuplicateParameter), "{name}");
    }
}

#[test]
fn malformed_parts_are_refused() {
    let query = query();
    assert_eq!(parse(""), Err(ParseLinkUriError::NoScheme));
    assert_eq!(parse(&format!("link://host/path?{query}")), Err(ParseLinkUriError::Path));
    assert_eq!(parse(&format!("link://host//?{query}")), Err(ParseLinkUriError::Path));
    for text in ["link://host/? x", "link://host/?\u{e9}", "link://host/?\n", "link://host/?\0"] {
        assert_eq!(parse(text), Err(ParseLinkUriError::Character), "{text:?}");
    }
    for bad in ["%", "%4", "%zz", "%+1", "%ff"] {
        let text = format!("link://host/?{query}&paths=x:{bad}");
        assert_eq!(parse(&text), Err(ParseLinkUriError::PercentEncoding), "{bad}");
    }
    for key in ["AA", "a", "aa=="] {
        let text = format!("link://host/?{query}&cs31={key}");
        let result = parse(&text);
        assert!(
            matches!(result, Err(ParseLinkUriError::Link(LinkInfoError::Encoding { what: "key", .. }))),
            "{key}"
        );
    }
    assert!(matches!(
        parse(&format!("link://host/?{query}&hn=abc")),
        Err(ParseLinkUriError::Link(LinkInfoError::Hashname(_)))
    ));
    for sid in ["", "a%20b", "a/b", &"s".repeat(513)] {
        let text = format!("link://host/?{query}&sid={sid}");
        assert!(matches!(parse(&text), Err(ParseLinkUriError::Value(_))), "{sid}");
    }
    assert!(parse(&format!("link://host/?{query}&sid={}", "s".repeat(512))).is_ok());
}

#[test]
fn a_target_is_told_by_how_it_begins() {
    let hashname = keys().hashname().unwrap();
    let info = LinkInfo::new(keys()).unwrap();
    let target = |text: &str| text.parse::<LinkTarget>();
    assert_eq!(target(&format!("  {hashname}\n")), Ok(LinkTarget::Hashname(hashname)));
    assert_eq!(target(&info.to_json()), Ok(info.clone().into()));
    assert_eq!(
        target(&format!("link://host/?{}", query())).unwrap().to_string(),
        format!("link://host/?{}", query())
    );
    assert!(matches!(target("{"), Err(ParseLinkTargetError::Info(_))));
    assert!(matches!(target("link://"), Err(ParseLinkTargetError::Uri(_))));
    assert!(matches!(target("nobody"), Err(ParseLinkTargetError::Hashname(_))));
    assert_eq!(LinkTarget::from(info).to_string(), hashname.to_string());
}
