//! What somebody on the local network announces.

use telemesh_mdns::{Claim, MAX_CLAIM_PATHS, MAX_CLAIMS, MAX_PACKET, Message, write_announcement};

/// Whatever comes, an endpoint that is believed to be there has keys of its own and paths into the local network; and what
/// it says, announced by us, is read the same.
pub fn mdns(data: &[u8]) {
    // IPv4 addresses of one half of the world are local.
    let is_local = |ip: std::net::IpAddr| matches!(ip, std::net::IpAddr::V4(ip) if ip.octets()[0] < 128);
    let Ok(message) = Message::read(data, is_local) else { return };
    assert!(data.len() <= MAX_PACKET);
    let Message::Response(claims) = message else { return };
    assert!(claims.len() <= MAX_CLAIMS);
    for claim in claims {
        let Claim::Present { announcement, ttl } = claim else { continue };
        assert!(ttl > 0 && announcement.keys.hashname() == Ok(announcement.hashname));
        assert!((1..=MAX_CLAIM_PATHS).contains(&announcement.paths.len()));
        let addresses: Vec<_> =
            announcement.paths.iter().filter_map(|path| Some(path.socket_address()?.ip())).collect();
        assert!(addresses.len() == announcement.paths.len() && addresses.iter().all(|ip| is_local(*ip)));
        // Many long keys do not fit one packet, and that is an error.
        let Ok(written) = write_announcement(&announcement, &addresses, ttl) else { continue };
        let Ok(Message::Response(again)) = Message::read(&written, is_local) else {
            panic!("what we announce is not read")
        };
        let [Claim::Present { announcement: read, .. }] = &again[..] else { panic!("{again:?}") };
        assert_eq!((read.hashname, &read.keys), (announcement.hashname, &announcement.keys));
        assert!(read.paths.len() == announcement.paths.len());
        assert!(read.paths.iter().all(|path| announcement.paths.contains(path)));
    }
}
