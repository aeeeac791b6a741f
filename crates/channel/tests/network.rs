//! What a service asks an endpoint: what a peer may do, and whether the endpoint is still there.

use std::sync::Arc;

use telemesh_channel::{Hashname, Network as _, memory};

#[test]
fn grants_of_a_kind_are_given_in_whole_and_no_other_kinds() {
    let pair = memory::pair();
    let right = pair.right.hashname();
    for grant in ["sock:10.0.0.1:22", "sock-udp:10.0.0.1:53", "sock", "serve"] {
        pair.left.grant(right, grant);
    }
    assert_eq!(pair.left.grants_of_kind(&right, "sock"), ["sock", "sock:10.0.0.1:22"]);
    assert_eq!(pair.left.grants_of_kind(&right, "soc"), [""; 0]);
    assert_eq!(pair.left.grants_of_kind(&Hashname::from_bytes([9; 32]), "sock"), [""; 0]);
    pair.left.revoke(right, "sock");
    assert_eq!(pair.left.grants_of_kind(&right, "sock"), ["sock:10.0.0.1:22"]);
}

#[test]
fn a_weak_endpoint_does_not_keep_the_endpoint() {
    let pair = memory::pair();
    let weak = pair.left.downgrade();
    assert_eq!(weak.upgrade().map(|network| network.hashname()), Some(pair.left.hashname()));
    let left = Arc::downgrade(&pair.left);
    drop(pair);
    assert!(weak.upgrade().is_none() && left.upgrade().is_none());
}
