//! Link JSON: which parts must be there, which may be, and which make it somebody else's.

use telemesh_hashname::{CipherSetId, InsertError, KeyDigest, PublicKeys, base32};
use telemesh_wire::{Credential, LinkInfo, LinkInfoError, PathAddress, PathHint, RouterHint};

use crate::values::keys;

fn key(csid: CipherSetId) -> String {
    base32::encode(keys().key(csid).unwrap())
}

fn digest(csid: CipherSetId) -> String {
    base32::encode(keys().digest(csid).unwrap().as_bytes())
}

fn hashname() -> String {
    keys().hashname().unwrap().to_string()
}

fn parse(json: &str) -> Result<LinkInfo, LinkInfoError> {
    LinkInfo::from_json(json)
}

#[test]
fn large_numbers_in_a_path_of_an_unknown_type_do_not_change_when_it_is_handed_on() {
    // Found by fuzzing: read without care, this number is another one after a few times.
    let path = r#"{"cost":4242888880000011662322688380341811,"type":"new"}"#;
    let info = parse(&format!(r#"{{"hashname":"{}","paths":[{path}]}}"#, hashname())).unwrap();
    let handed_on = parse(&info.to_json()).unwrap();
    assert_eq!(handed_on, info);
    assert_eq!(handed_on.to_json(), info.to_json());
}

#[test]
fn all_keys_give_the_hashname() {
    let json =
        format!(r#"{{"keys":{{"21":"{}","11":"{}"}}}}"#, key(CipherSetId::CS21), key(CipherSetId::CS11));
    let info = parse(&json).unwrap();
    assert_eq!(info.hashname(), keys().hashname().unwrap());
    assert_eq!(info.keys(), &keys());
    assert!(info.paths().is_empty());
}

#[test]
fn telehash_keys_give_the_published_hashname() {
    let json = r#"{"keys":{"1a":"an7lbl5e6vk4ql6nblznjicn5rmf3lmzlm",
        "3a":"eg3fxjnjkz763cjfnhyabeftyf75m2s4gll3gvmuacegax5h6nia"}}"#;
    let info = parse(json).unwrap();
    assert_eq!(info.hashname().to_string(), "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa");
}

#[test]
fn one_key_and_the_digests_of_the_rest_give_the_hashname() {
    let json = format!(
        r#"{{"keys":{{"21":"{}"}},"digests":{{"11":"{}"}}}}"#,
        key(CipherSetId::CS21),
        digest(CipherSetId::CS11)
    );
    let info = parse(&json).unwrap();
    assert_eq!(info.hashname(), keys().hashname().unwrap());
    assert_eq!(info.keys().key(CipherSetId::CS11), None);
    assert_eq!(info.keys().digest(CipherSetId::CS11), keys().digest(CipherSetId::CS11));
}

#[test]
fn one_of_several_keys_is_never_another_endpoint() {
    let alone = format!(r#"{{"keys":{{"21":"{}"}}}}"#, key(CipherSetId::CS21));
    assert_eq!(parse(&alone), Err(LinkInfoError::OneKeyAlone));
    let digest_alone = format!(r#"{{"digests":{{"21":"{}"}}}}"#, digest(CipherSetId::CS21));
    assert_eq!(parse(&digest_alone), Err(LinkInfoError::OneKeyAlone));
    let named = format!(r#"{{"hashname":"{}","keys":{{"21":"{}"}}}}"#, hashname(), key(CipherSetId::CS21));
    assert_eq!(parse(&named), Err(LinkInfoError::WrongHashname));
}

#[test]
fn an_endpoint_with_a_single_cipher_set_says_its_hashname() {
    let mut single = PublicKeys::new();
    single.insert_key(CipherSetId::CS11, &[1; 32]).unwrap();
    let info = LinkInfo::new(single).unwrap();
    let json = info.to_json();
    assert!(json.contains(&info.hashname().to_string()));
    assert_eq!(parse(&json), Ok(info));
}

#[test]
fn a_hashname_alone_is_an_unresolved_endpoint() {
    let info = parse(&format!(r#"{{"hashname":"{}"}}"#, hashname())).unwrap();
    assert_eq!(info, LinkInfo::unresolved(keys().hashname().unwrap()));
    assert!(info.keys().is_empty());
    assert_eq!(parse("{}"), Err(LinkInfoError::NoHashname));
    assert_eq!(LinkInfo::new(PublicKeys::new()), Err(LinkInfoError::NoHashname));
}

#[test]
fn keys_beside_another_hashname_are_refused() {
    let json = LinkInfo::new(keys()).unwrap().to_json();
    let other = json.replace(&hashname(), "27ywx5e5ylzxfzxrhptowvwntqrd3jhksyxrfkzi6jfn64d3lwxa");
    assert_eq!(parse(&other), Err(LinkInfoError::WrongHashname));
}

#[test]
fn a_name_that_is_there_twice_is_refused_at_any_depth() {
    let name = hashname();
    for json in [
        format!(r#"{{"hashname":"{name}","hashname":"{name}"}}"#),
        format!(r#"{{"hashname":"{name}","keys":{{"11":"aa","11":"aa"}}}}"#),
        format!(r#"{{"hashname":"{name}","paths":[{{"type":"udp4","type":"udp4"}}]}}"#),
        format!(r#"{{"hashname":"{name}","paths":[{{"type":"new","x":[{{"y":1,"y":2}}]}}]}}"#),
    ] {
        assert!(matches!(parse(&json), Err(LinkInfoError::Syntax { .. })), "{json}");
    }
    let key = key(CipherSetId::CS11);
    let both = format!(
        r#"{{"keys":{{"11":"{key}"}},"digests":{{"11":"{}"}},"hashname":"{name}"}}"#,
        digest(CipherSetId::CS11)
    );
    assert_eq!(parse(&both), Err(LinkInfoError::Keys(InsertError::Duplicate { csid: CipherSetId::CS11 })));
}

#[test]
fn malformed_parts_are_refused() {
    let name = hashname();
    let with = |part: &str| parse(&format!(r#"{{"hashname":"{name}",{part}}}"#));
    assert!(matches!(parse(""), Err(LinkInfoError::Syntax { .. })));
    assert!(matches!(parse("[1"), Err(LinkInfoError::Syntax { line: 1, .. })));
    assert!(matches!(parse(&"[".repeat(60_000)), Err(LinkInfoError::Syntax { .. })), "depth is bounded");
    assert!(matches!(parse("[]"), Err(LinkInfoError::Structure { what: "link json" })));
    assert!(matches!(parse(r#"{"hashname":5}"#), Err(LinkInfoError::Structure { what: "hashname" })));
    assert!(matches!(parse(r#"{"hashname":"abc"}"#), Err(LinkInfoError::Hashname(_))));
    assert!(matches!(with(r#""keys":[]"#), Err(LinkInfoError::Structure { what: "keys" })));
    assert!(matches!(with(r#""keys":null"#), Err(LinkInfoError::Structure { what: "keys" })));
    assert!(matches!(with(r#""keys":{"11":5}"#), Err(LinkInfoError::Structure { what: "key" })));
    assert!(matches!(with(r#""keys":{"1":"aa"}"#), Err(LinkInfoError::CipherSet(_))));
    assert!(matches!(with(r#""keys":{"1A":"aa"}"#), Err(LinkInfoError::CipherSet(_))));
    assert!(matches!(with(r#""keys":{"11":""}"#), Err(LinkInfoError::Keys(InsertError::KeyLength { .. }))));
    for bad in ["AA", "a", "a=", "ab", "0a", "é"] {
        let result = with(&format!(r#""keys":{{"11":"{bad}"}}"#));
        assert!(matches!(result, Err(LinkInfoError::Encoding { what: "key", .. })), "{bad}");
    }
    assert!(matches!(with(r#""digests":{"11":"aa"}"#), Err(LinkInfoError::Value(_))));
    assert!(matches!(with(r#""paths":{}"#), Err(LinkInfoError::Structure { what: "paths" })));
    assert!(matches!(with(r#""paths":["udp"]"#), Err(LinkInfoError::Structure { what: "path" })));
    assert!(matches!(with(r#""paths":[{}]"#), Err(LinkInfoError::Structure { .. })));
}

#[test]
fn ten_thousand_keys_are_refused() {
    let keys: Vec<String> = (0..10_000).map(|number| format!(r#""{number}":"a""#)).collect();
    let json = format!(r#"{{"keys":{{{}}}}}"#, keys.join(","));
    assert!(matches!(parse(&json), Err(LinkInfoError::Value(_))), "too long");
    let nine: Vec<String> = (10..19).map(|number| format!(r#""{number}":"aa""#)).collect();
    let json = format!(r#"{{"keys":{{{}}}}}"#, nine.join(","));
    assert!(matches!(parse(&json), Err(LinkInfoError::Value(_))), "too many");
}

#[test]
fn paths_with_impossible_addresses_are_refused_by_their_place() {
    let name = hashname();
    for path in [
        r#"{"type":"udp4"}"#,
        r#"{"type":"udp4","ip":"192.0.2.1"}"#,
        r#"{"type":"udp4","ip":"192.0.2.1","port":"42424"}"#,
        r#"{"type":"udp4","ip":"192.0.2.1","port":0}"#,
        r#"{"type":"udp4","ip":"192.0.2.1","port":65536}"#,
        r#"{"type":"udp4","ip":"192.0.2.1","port":-1}"#,
        r#"{"type":"udp4","ip":"192.0.2.1","port":1.5}"#,
        r#"{"type":"udp4","ip":"2001:db8::1","port":42424}"#,
        r#"{"type":"udp6","ip":"192.0.2.1","port":42424}"#,
        r#"{"type":"udp6","ip":"ff02::1","port":42424}"#,
        r#"{"type":"quic","ip":"0.0.0.0","port":443}"#,
        r#"{"type":"quic","ip":"host.example","port":443}"#,
    ] {
        let json = format!(r#"{{"hashname":"{name}","paths":[{{"type":"later"}},{path}]}}"#);
        assert!(matches!(parse(&json), Err(LinkInfoError::Path { index: 1, .. })), "{path}");
    }
}

#[test]
fn unknown_paths_are_kept_and_ignored() {
    let path = r#"{"ip":7,"nested":{"a":[1,-2,0.5,null,true]},"type":"tcp","url":"x"}"#;
    let json = format!(r#"{{"extra":1,"hashname":"{}","paths":[{path}]}}"#, hashname());
    let info = parse(&json).unwrap();
    let [PathHint::Unknown(unknown)] = info.paths() else { panic!("{info:?}") };
    assert_eq!(unknown.kind(), "tcp");
    assert_eq!(info.addresses().count(), 0);
    assert!(info.to_json().contains(path), "{}", info.to_json());
    assert_eq!(format!("{unknown:?}"), r#"UnknownPath("tcp")"#);
}

#[test]
fn a_path_through_a_router_carries_the_routers_link_json_and_a_ticket() {
    let mut router_keys = PublicKeys::new();
    router_keys.insert_key(CipherSetId::CS11, &[3; 32]).unwrap();
    router_keys.insert_digest(CipherSetId::CS21, KeyDigest::of(&[4; 32])).unwrap();
    let address: PathAddress = "udp:192.0.2.9:42424".parse().unwrap();
    let router = LinkInfo::new(router_keys).unwrap().with_path(address).unwrap();
    let with_ticket = |ticket| {
        let hint = RouterHint { router: router.clone(), ticket };
        LinkInfo::new(keys()).unwrap().with_path(hint).unwrap()
    };
    for ticket in [Credential::none(), Credential::new(vec![1, 2, 3]).unwrap()] {
        let info = with_ticket(ticket);
        assert_eq!(parse(&info.to_json()), Ok(info));
    }
    let too_long = with_ticket(Credential::new(vec![1]).unwrap())
        .to_json()
        .replace(r#""ticket":"ae""#, &format!(r#""ticket":"{}""#, base32::encode(&[1; 513])));
    assert!(matches!(parse(&too_long), Err(LinkInfoError::Value(_))));
}

#[test]
fn no_router_is_reached_through_a_router() {
    let through =
        LinkInfo::new(keys()).unwrap().with_path(PathAddress::Peer(keys().hashname().unwrap())).unwrap();
    let hint = RouterHint { router: through.clone(), ticket: Credential::none() };
    assert_eq!(LinkInfo::new(keys()).unwrap().with_path(hint), Err(LinkInfoError::NestedRouter));
    let json = format!(
        r#"{{"hashname":"{}","paths":[{{"type":"peer","router":{}}}]}}"#,
        hashname(),
        through.to_json()
    );
    assert_eq!(parse(&json), Err(LinkInfoError::NestedRouter));
    let innermost = format!(r#"{{"hashname":"{}"}}"#, hashname());
    let deep = (0..40).fold(innermost, |inner, _| {
        format!(r#"{{"hashname":"{}","paths":[{{"type":"peer","router":{inner}}}]}}"#, hashname())
    });
    assert_eq!(parse(&deep), Err(LinkInfoError::NestedRouter));
    let nothing = format!(r#"{{"hashname":"{}","paths":[{{"type":"peer"}}]}}"#, hashname());
    assert_eq!(parse(&nothing), Err(LinkInfoError::Structure { what: "router" }));
}

#[test]
fn it_is_part_of_larger_documents_through_serde() {
    let info = LinkInfo::new(keys()).unwrap();
    let document = format!(r#"{{"contacts":[{}]}}"#, info.to_json());
    let read: std::collections::BTreeMap<String, Vec<LinkInfo>> = serde_json::from_str(&document).unwrap();
    assert_eq!(read["contacts"], [info]);
    assert_eq!(serde_json::to_string(&read).unwrap(), document);
    assert!(serde_json::from_str::<LinkInfo>("{}").is_err());
}
