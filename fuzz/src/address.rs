//! Addresses as people and programs pass them on: path addresses, link JSON, link URIs, and whatever names a link.

use telemesh_wire::{
    Authority, LinkInfo, LinkTarget, LinkUri, PathAddress, socket_address_from_bytes, socket_address_to_bytes,
};

/// [`PathAddress`] as text, and socket addresses as bytes.
pub fn path_address(data: &[u8]) {
    if let Ok(address) = socket_address_from_bytes(data) {
        assert_eq!(socket_address_from_bytes(&socket_address_to_bytes(address)), Ok(address));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(address) = text.parse::<PathAddress>() {
        assert_eq!(address.canonical(), address, "parsing gives the one spelling");
        assert_eq!(address.to_string().parse(), Ok(address));
        let json = serde_json::json!(address);
        assert_eq!(serde_json::from_value::<PathAddress>(json).ok(), Some(address));
    }
    if let Ok(authority) = text.parse::<Authority>() {
        assert_eq!(authority.to_string().parse().as_ref(), Ok(&authority));
        if let Some(address) = authority.socket_address() {
            assert_eq!(Authority::try_from(address).as_ref(), Ok(&authority));
        }
    }
}

/// [`LinkInfo`] as JSON.
pub fn link_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(info) = LinkInfo::from_json(text) {
        check_info(&info);
    }
}

/// [`LinkUri`].
pub fn link_uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(uri) = text.parse::<LinkUri>() {
        check_uri(uri);
    }
}

/// [`LinkTarget`].
pub fn link_target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<LinkTarget>() {
        Ok(LinkTarget::Hashname(hashname)) => {
            assert_eq!(hashname.to_string().parse(), Ok(LinkTarget::Hashname(hashname)));
        }
        Ok(LinkTarget::Info(info)) => {
            check_info(&info);
            assert_eq!(info.to_json().parse(), Ok(LinkTarget::Info(info)));
        }
        Ok(LinkTarget::Uri(uri)) => check_uri(*uri),
        Ok(_) | Err(_) => {}
    }
}

fn check_info(info: &LinkInfo) {
    let json = info.to_json();
    let again = LinkInfo::from_json(&json);
    assert_eq!(again.as_ref(), Ok(info));
    assert_eq!(again.map(|again| again.to_json()), Ok(json), "one link has one JSON");
    if info.keys().len() > 1 {
        assert_eq!(info.keys().hashname(), Ok(info.hashname()));
    }
}

fn check_uri(mut uri: LinkUri) {
    let secret = uri.to_secret_string();
    assert_eq!(secret.parse().as_ref(), Ok(&uri));
    // Without its invite it is a URI still, and nothing else of it is missing.
    let shown = uri.to_string();
    let invite = uri.take_invite();
    assert_eq!(shown.parse().as_ref(), Ok(&uri));
    assert_eq!(invite.is_some(), *secret != shown);
}
