//! The lab's own proof: each kind of box is probed from both sides, and must behave as its kind is defined.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::agent::Agent;
use super::behaviour::{Behaviour, Ground, Spot, probe};
use super::kinds::Kind;
use super::world::{Home, Host, Place, World};

/// The port inside; its neighbour and the server's second socket have the next one.
const PORT: u16 = 5_000;

/// Probes every kind, over IPv4 and one over IPv6, and prints the table. A probe mostly waits for nothing to come, so all
/// of them run at the same time.
///
/// # Errors
/// When a box does not behave as it should.
pub(super) fn run() -> Result<()> {
    let kinds = Kind::ALL.into_iter().filter(|kind| *kind != Kind::None);
    let mut wanted: Vec<_> = kinds.map(|kind| (kind.to_string(), kind, false, kind.behaviour())).collect();
    wanted.push(("IPv6 firewall".to_owned(), Kind::PortRestricted, true, Kind::ipv6_behaviour()));
    let found: Vec<Result<Behaviour>> = std::thread::scope(|scope| {
        let probe = |kind, ipv6| move || Lab::new(kind, ipv6).and_then(|mut lab| probe(&mut lab));
        let probes: Vec<_> =
            wanted.iter().map(|(_, kind, ipv6, _)| scope.spawn(probe(*kind, *ipv6))).collect();
        let join = |probe: std::thread::ScopedJoinHandle<'_, _>| {
            probe.join().unwrap_or_else(|_| Err(anyhow!("the probe panicked")))
        };
        probes.into_iter().map(join).collect()
    });
    for ((name, _, _, wanted), found) in wanted.iter().zip(found) {
        let found = found.with_context(|| name.clone())?;
        println!("{name:<20} {found}");
        ensure!(found == *wanted, "{name} should be:\n{:<20} {wanted}", "");
    }
    Ok(())
}

/// A home with two hosts, two servers in the open, and a socket at each spot. Namespaces go last.
struct Lab {
    /// In the order of [`Spot::ALL`].
    agents: Vec<(Agent, SocketAddr)>,
    external: IpAddr,
    home: Home,
    _hosts: [Host; 2],
    _servers: [Place; 2],
    _world: World,
}

impl Lab {
    fn new(kind: Kind, ipv6: bool) -> Result<Self> {
        let mut world = World::new()?;
        let servers = [world.place("server")?, world.place("other")?];
        let mut home = world.home("home", kind)?;
        let hosts = [world.host(&mut home)?, world.host(&mut home)?];
        let pick = |v4: std::net::Ipv4Addr, v6: std::net::Ipv6Addr| -> IpAddr {
            if ipv6 { v6.into() } else { v4.into() }
        };
        let [inside, neighbour] = hosts.each_ref().map(|host| pick(host.ipv4, host.ipv6));
        let [server, other] = servers.each_ref().map(|place| pick(place.ipv4, place.ipv6));
        let mut agents = Vec::new();
        for (namespace, ip, port) in [
            (&hosts[0].namespace, inside, PORT),
            (&hosts[1].namespace, neighbour, PORT + 1),
            (&servers[0].namespace, server, PORT),
            (&servers[0].namespace, server, PORT + 1),
            (&servers[1].namespace, other, PORT),
        ] {
            let address = SocketAddr::new(ip, port);
            agents.push((Agent::new(namespace, address)?, address));
        }
        // New interfaces lose their first packets, and neighbours have to be found. Another port, which nobody probes.
        for host in [inside, neighbour] {
            let namespace = if host == inside { &hosts[0].namespace } else { &hosts[1].namespace };
            let mut warming = Agent::new(namespace, SocketAddr::new(host, PORT + 2))?;
            for (agent, address) in agents.iter_mut().skip(2) {
                wake(&mut warming, agent, *address)?;
            }
        }
        let external = if ipv6 { inside } else { home.external() };
        Ok(Self { agents, external, home, _hosts: hosts, _servers: servers, _world: world })
    }

    fn agent(&mut self, spot: Spot) -> Result<&mut Agent> {
        let index = Spot::ALL.iter().position(|other| *other == spot).context("no such spot")?;
        Ok(&mut self.agents.get_mut(index).context("no agent there")?.0)
    }
}

/// Sends until something arrives.
fn wake(from: &mut Agent, to: &mut Agent, address: SocketAddr) -> Result<()> {
    /// Each takes as long as an agent listens for more.
    const ATTEMPTS: usize = 40;
    for _ in 0..ATTEMPTS {
        from.send(address, 0)?;
        if !to.arrived()?.is_empty() {
            return Ok(());
        }
    }
    bail!("nothing arrives at {address}: the lab carries nothing")
}

impl Ground for Lab {
    fn address(&self, spot: Spot) -> SocketAddr {
        let found = Spot::ALL.iter().zip(&self.agents).find(|(other, _)| **other == spot);
        found.map_or(SocketAddr::new(self.external, 0), |(_, (_, address))| *address)
    }

    fn external(&self) -> IpAddr {
        self.external
    }

    fn send(&mut self, from: Spot, to: SocketAddr, word: u32) -> Result<()> {
        self.agent(from)?.send(to, word)
    }

    fn arrived(&mut self, at: Spot) -> Result<Vec<(SocketAddr, u32)>> {
        self.agent(at)?.arrived()
    }

    fn reboot(&mut self) -> Result<()> {
        self.home.reboot()
    }
}
