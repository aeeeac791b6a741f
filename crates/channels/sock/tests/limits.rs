//! What tunnels are limited to: at the limit, and one past it.
#![allow(clippy::unwrap_used, reason = "tests")]

mod run;

use std::io;
use std::net::IpAddr;

use run::{Scripted, echo, resolving};
use telemesh_channel::memory::pair;
use telemesh_channel::{BoxFuture, Network as _};
use telemesh_sock::{Granted, MAX_TUNNELS, Name, Resolve, SockError, SockNetwork as _, SockOpener as _};

/// Finds nothing, and takes for ever.
struct Silent;

impl Resolve for Silent {
    fn resolve<'a>(&'a self, _: &'a Name) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_tunnels_as_allowed_and_one_more() {
    let pair = pair();
    pair.right.on_sock_with(Granted::of(&*pair.right), Silent).unwrap();
    pair.right.grant(pair.left.hashname(), "sock:host.example:1");
    let ask = || {
        let link = pair.to_right.clone();
        tokio::spawn(async move { link.sock().connect("host.example:1").await.map(drop) })
    };
    let mut waiting = Vec::new();
    for _ in 0..MAX_TUNNELS {
        waiting.push(ask());
        tokio::task::yield_now().await;
    }
    let refused = ask().await.unwrap().unwrap_err();
    assert!(matches!(refused, SockError::Busy(_)), "{refused:?}");
    assert!(waiting.iter().all(|one| !one.is_finished()), "the others still wait for the name");
}

#[tokio::test]
async fn of_a_names_addresses_sixteen_are_looked_at() {
    let target = echo().await;
    for (place, works) in [(15, true), (16, false)] {
        let mut addresses = vec!["10.9.9.9"; place];
        addresses.push("127.0.0.1");
        let resolver = Scripted::new(&[&addresses]);
        let pair = resolving(&[&format!("sock:{target}")], &resolver);
        let result = pair.to_right.sock().connect(&*format!("host.example:{}", target.port())).await;
        assert_eq!(result.is_ok(), works, "{place} others stand before it");
    }
}
