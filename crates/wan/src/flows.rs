//! Who talks through a forwarder: one socket towards the target for each sender, so that answers find their way back.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::model::{Flow, Model};

/// A flow that has been silent this long makes room for another when there is none left. NATs forget after two minutes.
const SILENT: Duration = Duration::from_secs(120);

/// Room in bytes for datagrams that arrive while the forwarder is busy; what does not fit is lost without being counted.
/// Linux grants no more than `net.core.rmem_max`.
const BUFFER: usize = 4 << 20;

/// One sender.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) flow: Flow,
    /// Who sent first.
    pub(crate) sender: SocketAddr,
    /// Connected to the target.
    pub(crate) socket: UdpSocket,
    heard: Duration,
}

/// All senders.
#[derive(Debug)]
pub(crate) struct Talks {
    target: SocketAddr,
    /// From where we send to the target, with port zero.
    source: SocketAddr,
    by_sender: HashMap<SocketAddr, Flow>,
    /// By [`Flow::index`].
    talks: Vec<Option<Talk>>,
}

impl Talks {
    pub(crate) fn new(target: SocketAddr) -> Self {
        let any: IpAddr =
            if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        Self { target, source: SocketAddr::new(any, 0), by_sender: HashMap::new(), talks: Vec::new() }
    }

    pub(crate) fn send_from(&mut self, address: IpAddr) {
        self.source = SocketAddr::new(address, 0);
    }

    /// The sender's flow, a new one if it was never heard; `None` if there is no room for it.
    pub(crate) fn of(&mut self, now: Duration, sender: SocketAddr, model: &mut Model) -> Option<Flow> {
        if let Some(flow) = self.by_sender.get(&sender).copied() {
            self.heard(now, flow);
            return Some(flow);
        }
        let socket = bound(self.source).ok()?;
        socket.connect(self.target).ok()?;
        let flow = model.open().or_else(|| {
            self.forget_silent(now, model);
            model.open()
        })?;
        self.by_sender.insert(sender, flow);
        self.talks.resize_with(self.talks.len().max(flow.index() + 1), || None);
        if let Some(slot) = self.talks.get_mut(flow.index()) {
            *slot = Some(Talk { flow, sender, socket, heard: now });
        }
        Some(flow)
    }

    pub(crate) fn get(&self, flow: Flow) -> Option<&Talk> {
        self.talks.get(flow.index())?.as_ref()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Talk> {
        self.talks.iter().flatten()
    }

    /// Says that something of this flow came by.
    pub(crate) fn heard(&mut self, now: Duration, flow: Flow) {
        if let Some(Some(talk)) = self.talks.get_mut(flow.index()) {
            talk.heard = now;
        }
    }

    fn forget_silent(&mut self, now: Duration, model: &mut Model) {
        for slot in &mut self.talks {
            if let Some(talk) = slot.take_if(|talk| now.saturating_sub(talk.heard) > SILENT) {
                self.by_sender.remove(&talk.sender);
                model.close(talk.flow);
            }
        }
    }
}

/// A socket bound to this address, with a large buffer, that never blocks.
pub(crate) fn bound(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Less is granted where the system says so, and is no reason to fail.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conditions, MAX_FLOWS, Ways};

    fn sender(number: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], number))
    }

    #[test]
    fn a_full_house_makes_room_only_at_the_cost_of_the_silent() {
        let target: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let mut model = Model::new(Ways::both(Conditions::new()), false, 1).unwrap();
        let mut talks = Talks::new(target);
        // The model is filled without sockets, of which a test may not have so many.
        let talking = talks.of(Duration::ZERO, sender(1), &mut model).unwrap();
        let silent = talks.of(Duration::ZERO, sender(2), &mut model).unwrap();
        for _ in 2..MAX_FLOWS {
            model.open().unwrap();
        }
        talks.heard(SILENT, talking);
        assert_eq!(talks.of(SILENT, sender(3), &mut model), None, "nobody is silent for long enough");
        let later = SILENT + Duration::from_secs(1);
        assert_eq!(talks.of(later, sender(3), &mut model), Some(silent), "its place");
        assert_eq!(talks.of(later, sender(1), &mut model), Some(talking), "who talks, stays");
        assert_eq!(talks.all().count(), 2);
    }
}
