//! What can be chosen about an engine, and the fixed parameters both ends rely on.

use std::sync::Arc;
use std::time::Duration;

use quinn_proto::{MtuDiscoveryConfig, TransportConfig, VarInt};

use crate::congestion::TolerantConfig;

/// The smallest packet in bytes that every path of a link must carry (RFC 9000, section 14).
///
/// With the link's 32 bytes around it this is 1,232: what IPv6's minimum MTU of 1,280 leaves for
/// the payload of a UDP datagram.
pub const MIN_PACKET: u16 = 1_200;

/// The largest packet in bytes that path-MTU discovery tries.
///
/// With the link's 32 bytes it fills Ethernet's 1,500 under IPv6 and UDP (48 bytes). It is fixed, because path-MTU
/// discovery takes part in the local handshake, where nothing may differ between the two ends.
pub const MAX_PACKET: u16 = 1_420;

/// Smallest gain in bytes that path-MTU discovery goes on for: just more than half the way from [`MIN_PACKET`] to
/// [`MAX_PACKET`], so that its first probe already is the largest packet, which nearly every path carries. A path that
/// does not (a tunnel, say) gets one more probe, half way.
const MTU_STEP: u16 = (MAX_PACKET - MIN_PACKET) / 2 + 1;

/// Streams that each side may have open at the start. Every permitted stream is preallocated by the
/// state machine, so this is small; the engine raises it as streams are used.
pub(crate) const INITIAL_STREAMS: u32 = 32;

/// What can be chosen about an engine. Both ends may choose differently.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Round-trip time that the link has measured, from which loss detection starts. Default 100 ms.
    pub rtt: Duration,
    /// Unread bytes that a stream may hold once its reader has begun to read, at least 512 KiB.
    /// Default 2 MiB. A stream that nobody reads holds 512 KiB, if the peer keeps to the protocol, and this in any case.
    pub stream_window: u32,
    /// Unread bytes that all streams together may hold, at least 16 MiB. Default 32 MiB, sixteen
    /// stream windows: a few readers that have stopped reading cannot stop the others.
    pub link_window: u32,
    /// Bytes that may be written and not yet acknowledged, all streams together. Default 8 MiB.
    pub send_window: u32,
    /// The most streams that the other side may have open at once. Default 16,384.
    pub max_streams: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rtt: Duration::from_millis(100),
            stream_window: 2 << 20,
            link_window: 32 << 20,
            send_window: 8 << 20,
            max_streams: 16_384,
        }
    }
}

impl Config {
    /// The same configuration starting from another round-trip time.
    #[must_use]
    pub fn with_rtt(mut self, rtt: Duration) -> Self {
        self.rtt = rtt;
        self
    }

    /// The state machine's configuration for this side. Its windows are never below what the fixed
    /// transport parameters (see [`crate::crypto`]) promise to the other side.
    pub(crate) fn transport(&self) -> TransportConfig {
        let mut mtu = MtuDiscoveryConfig::default();
        mtu.upper_bound(MAX_PACKET).minimum_change(MTU_STEP);
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(INITIAL_STREAMS))
            .max_concurrent_uni_streams(VarInt::from_u32(0))
            // The link decides when a peer is gone; an idle engine stays.
            .max_idle_timeout(None)
            .keep_alive_interval(None)
            .stream_receive_window(VarInt::from_u32(self.stream_window.max(INITIAL_STREAM_WINDOW)))
            .receive_window(VarInt::from_u32(self.link_window.max(INITIAL_LINK_WINDOW)))
            .send_window(u64::from(self.send_window))
            .initial_rtt(self.rtt)
            .initial_mtu(MIN_PACKET)
            .min_mtu(MIN_PACKET)
            .mtu_discovery_config(Some(mtu))
            .congestion_controller_factory(Arc::new(TolerantConfig))
            // Nobody on the path can read packets, so there is nothing to show to it.
            .allow_spin(false)
            .datagram_receive_buffer_size(None)
            .enable_segmentation_offload(true);
        transport
    }
}

/// Stream window in bytes that the fixed transport parameters promise to the other side: 1/32 of the
/// link's, so that stalled readers cannot stop the rest.
pub(crate) const INITIAL_STREAM_WINDOW: u32 = 512 << 10;

/// Link window in bytes that the fixed transport parameters promise to the other side.
pub(crate) const INITIAL_LINK_WINDOW: u32 = 16 << 20;
