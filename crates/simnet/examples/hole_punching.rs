//! Two hosts behind port-restricted NATs meet with the help of a server, and a third behind a symmetric one does
//! not manage to. Prints what the network saw.

#![allow(clippy::print_stdout)] // The output is what the example is for.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use telemesh_simnet::{Conditions, HostId, NatConfig, Network, Realm, Scope, SocketId};

const SERVER: &str = "192.0.2.1:3478";

fn main() -> Result<(), Box<dyn Error>> {
    let met = meet(NatConfig::port_restricted())?;
    println!("port-restricted and port-restricted: {met} of 2 heard the other\n");
    let met = meet(NatConfig::symmetric())?;
    println!("port-restricted and symmetric: {met} of 2 heard the other");
    Ok(())
}

/// Lets two hosts learn their external addresses from a server and then send to each other's. Returns how many heard
/// from the other.
fn meet(second: NatConfig) -> Result<usize, Box<dyn Error>> {
    let mut network = Network::new(1);
    network.keep_events(usize::MAX);
    network.set_conditions(Scope::Everywhere, Conditions::new().delay(Duration::from_millis(25)));
    let server = network.add_host(Realm::INTERNET, ["192.0.2.1".parse()?])?;
    let server = network.bind(server, "0.0.0.0:3478".parse()?)?;
    let (alice, at_alice) = at_home(&mut network, "198.51.100.1", NatConfig::port_restricted())?;
    let (bob, at_bob) = at_home(&mut network, "198.51.100.2", second)?;

    // Both ask the server, which sees where they come from. (How it tells the other one is left out here.)
    network.send(Duration::ZERO, at_alice, SERVER.parse()?, b"where am I?")?;
    network.send(Duration::ZERO, at_bob, SERVER.parse()?, b"where am I?")?;
    let mut seen: Vec<SocketAddr> = Vec::new();
    let now = Duration::from_millis(25);
    while let Some(delivery) = network.deliver(now) {
        assert_eq!(delivery.socket, server);
        seen.push(delivery.from);
    }
    let [alice_outside, bob_outside] = seen[..] else { return Err("the server heard too few".into()) };

    // Each datagram opens its sender's own NAT for the other's, which are on their way at the same time.
    let mut heard = [false; 2];
    for round in 0..2 {
        let now = Duration::from_millis(100 * (round + 1));
        network.send(now, at_alice, bob_outside, b"hello")?;
        network.send(now, at_bob, alice_outside, b"hello")?;
        while let Some(delivery) = network.deliver(now + Duration::from_millis(99)) {
            heard[usize::from(delivery.host == bob)] = true;
            assert!(delivery.host == alice || delivery.host == bob);
        }
    }
    for event in network.events() {
        println!("{event}");
    }
    Ok(heard.into_iter().filter(|heard| *heard).count())
}

fn at_home(
    network: &mut Network,
    external: &str,
    config: NatConfig,
) -> Result<(HostId, SocketId), Box<dyn Error>> {
    let nat = network.add_nat(Realm::INTERNET, [external.parse()?], config)?;
    let host = network.add_host(nat.inside(), ["192.168.1.2".parse()?])?;
    let socket = network.bind(host, "0.0.0.0:4000".parse()?)?;
    Ok((host, socket))
}
