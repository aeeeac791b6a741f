//! Whether and where an endpoint uses QUIC.

use std::net::SocketAddr;

use telemesh_hashname::PublicKeys;
use telemesh_quic::QuicTransport;
use telemesh_transport::PathAddress;

use crate::CreateError;

/// What the builder was told about QUIC.
#[derive(Debug)]
pub(crate) struct QuicPlan {
    keys: PublicKeys,
    listen: Vec<SocketAddr>,
}

impl QuicPlan {
    pub(crate) fn new(keys: PublicKeys) -> Self {
        Self { keys, listen: Vec::new() }
    }

    pub(crate) fn listen(&mut self, address: SocketAddr) {
        self.listen.push(address);
    }

    /// The transport: one that listens if addresses were given, else, if it is wanted, one that only dials.
    pub(crate) fn open(self, wanted: bool) -> Result<Option<QuicTransport>, CreateError> {
        if !wanted && self.listen.is_empty() {
            return Ok(None);
        }
        let mut quic = QuicTransport::dial_only().map_err(CreateError::Socket)?;
        for address in self.listen {
            let failed = |error| CreateError::Listen { address: PathAddress::Quic(address), error };
            quic.add_listener(address, &self.keys).map_err(failed)?;
        }
        Ok(Some(quic))
    }
}
