//! Invites: whose they are, and that a mangled URI shows.

use telemesh_hashname::Hashname;
use telemesh_wire::{Invite, InviteSecret, LinkInfo, LinkUri, ParseLinkUriError};

use crate::values::{keys, most_keys};

fn uri() -> LinkUri {
    LinkUri::new(LinkInfo::new(keys()).unwrap()).with_invite(InviteSecret::from_bytes([5; 32]))
}

#[test]
fn an_invite_is_by_one_endpoint() {
    let hashname = keys().hashname().unwrap();
    let invite = Invite::new(&hashname, InviteSecret::from_bytes([5; 32]));
    assert!(invite.is_by(&hashname));
    assert!(!invite.is_by(&Hashname::from_bytes([0; 32])));
    assert_eq!(uri().invite(), Some(&invite));
}

#[test]
fn a_flipped_bit_in_the_secret_or_the_check_shows() {
    let text = uri().to_secret_string();
    let start = text.find('#').unwrap() + 1;
    for offset in start..text.len() {
        for replacement in ['a', 'b'] {
            let mut mangled = text.to_string();
            mangled.replace_range(offset..=offset, &replacement.to_string());
            if mangled != *text {
                let result = mangled.parse::<LinkUri>();
                assert!(
                    matches!(result, Err(ParseLinkUriError::ForeignInvite | ParseLinkUriError::Invite)),
                    "{offset}"
                );
            }
        }
    }
}

#[test]
fn an_invite_beside_other_keys_is_foreign() {
    let text = uri().to_secret_string();
    let (_, fragment) = text.split_once('#').unwrap();
    let others = LinkUri::new(LinkInfo::new(most_keys()).unwrap());
    assert_eq!(format!("{others}#{fragment}").parse::<LinkUri>(), Err(ParseLinkUriError::ForeignInvite));
}

#[test]
fn a_fragment_that_is_no_invite_is_refused() {
    let uri = LinkUri::new(LinkInfo::new(keys()).unwrap()).to_string();
    for fragment in ["", ".", "section", "a.b", &format!("{}.{}", "a".repeat(52), "a".repeat(26))] {
        assert_eq!(
            format!("{uri}#{fragment}").parse::<LinkUri>(),
            Err(ParseLinkUriError::Invite),
            "{fragment}"
        );
    }
}

#[test]
fn a_router_uri_carries_the_invite_of_a_peer_that_it_does_not_name() {
    let peer = Hashname::from_bytes([9; 32]);
    let invite = Invite::new(&peer, InviteSecret::from_bytes([5; 32]));
    let uri =
        LinkUri::new(LinkInfo::new(keys()).unwrap()).with_session("sealed~by.the_router-1", Some(invite));
    let text = uri.unwrap().to_secret_string();
    assert!(!text.contains(&peer.to_string()));

    let mut read: LinkUri = text.parse().unwrap();
    assert_eq!(read.session_id(), Some("sealed~by.the_router-1"));
    assert!(!read.invite().unwrap().is_by(&read.link().hashname()));
    let invite = read.take_invite().unwrap();
    assert!(invite.is_by(&peer));
    assert_eq!(invite.secret(), &InviteSecret::from_bytes([5; 32]));
    assert_eq!(read.invite(), None);
}
