//! The protocols, each a library: getting a lease, renewing it, giving it back.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::{InternetProtocol, PortMappingOptions, PortMappingType, TimeoutConfig, natpmp};

use crate::address::is_public;
use crate::mapper::Options;
use crate::route;

/// How long a lease is asked for, in seconds: so long the gateway leads packets to us if we end without a word.
const LIFETIME: u32 = 3_600;

/// PCP and NAT-PMP ask again after a quarter of a second, doubling (RFC 6886 section 3.1); a gateway answers at once or never.
const TIMEOUT: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 3, max_retry_timeout: None };

/// What a gateway has given.
pub(crate) struct Lease<H> {
    /// Where others reach us.
    pub(crate) external: SocketAddr,
    /// How long it lasts, from the gateway's answer on.
    pub(crate) lifetime: Duration,
    pub(crate) held: H,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoLease {
    /// Nobody who could give one is known.
    #[error("no gateway is known")]
    NoGateway,
    /// Nobody on the internet could reach it.
    #[error("the gateway calls {0} its external address")]
    NotPublic(IpAddr),
    /// It would be over at once, or is over at once.
    #[error("the gateway gives no time")]
    NoTime,
    /// PCP or NAT-PMP.
    #[error(transparent)]
    Mapping(#[from] crab_nat::MappingFailure),
    /// UPnP.
    #[error("UPnP: {0}")]
    Upnp(String),
}

/// Whoever gives leases.
pub(crate) trait Gateways: Send + 'static {
    /// What it takes to renew a lease or give it back.
    type Held: Send;

    /// A lease for a local port, or the renewal of one.
    fn obtain(
        &mut self,
        port: NonZeroU16,
        before: Option<Self::Held>,
    ) -> impl Future<Output = Result<Lease<Self::Held>, NoLease>> + Send;

    /// Gives a lease back.
    fn release(&mut self, held: Self::Held) -> impl Future<Output = ()> + Send;
}

/// The gateways of this machine's network.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) options: Options,
}

/// See [`Gateways::Held`].
pub(crate) enum Held {
    Mapping(crab_nat::PortMapping),
    #[cfg(feature = "upnp")]
    Upnp(upnp::Held),
}

impl Gateways for System {
    type Held = Held;

    async fn obtain(&mut self, port: NonZeroU16, before: Option<Held>) -> Result<Lease<Held>, NoLease> {
        match before {
            Some(Held::Mapping(mapping)) => return renew(mapping).await,
            #[cfg(feature = "upnp")]
            Some(Held::Upnp(held)) => return upnp::renew(held).await,
            None => {}
        }
        let failed = match self.options.gateway.or_else(route::gateway) {
            Some(gateway) => match map(gateway, port).await {
                Ok(lease) => return Ok(lease),
                Err(failed) => failed,
            },
            None => NoLease::NoGateway,
        };
        #[cfg(feature = "upnp")]
        if self.options.upnp {
            tracing::debug!(error = %failed, "neither PCP nor NAT-PMP");
            return upnp::map(port, &self.options).await;
        }
        Err(failed)
    }

    async fn release(&mut self, held: Held) {
        match held {
            Held::Mapping(mapping) => {
                if let Err((error, _)) = mapping.try_drop().await {
                    tracing::debug!(%error, "the gateway does not take its port back");
                }
            }
            #[cfg(feature = "upnp")]
            Held::Upnp(held) => upnp::release(held).await,
        }
    }
}

async fn map(gateway: Ipv4Addr, port: NonZeroU16) -> Result<Lease<Held>, NoLease> {
    let client = route::source_towards(gateway).ok_or(NoLease::NoGateway)?;
    let options = PortMappingOptions {
        // The same port outside, if it is free there: it tells nothing that packets do not tell.
        external_port: Some(port),
        lifetime_seconds: Some(LIFETIME),
        timeout_config: Some(TIMEOUT),
    };
    let mapping =
        crab_nat::PortMapping::new(gateway.into(), client.into(), InternetProtocol::Udp, port, options);
    checked(mapping.await?).await
}

async fn renew(mut mapping: crab_nat::PortMapping) -> Result<Lease<Held>, NoLease> {
    mapping.renew().await?;
    checked(mapping).await
}

/// A mapping whose external address makes sense; any other one is given back.
async fn checked(mapping: crab_nat::PortMapping) -> Result<Lease<Held>, NoLease> {
    let external = match mapping.mapping_type() {
        PortMappingType::Pcp { external_ip, .. } => Ok(unmapped(external_ip)),
        PortMappingType::NatPmp => natpmp::external_address(mapping.gateway(), Some(TIMEOUT))
            .await
            .map(IpAddr::V4)
            .map_err(|error| NoLease::Mapping(error.into())),
    };
    let sensible = external.and_then(|external| {
        if !is_public(&external) {
            return Err(NoLease::NotPublic(external));
        }
        if mapping.lifetime() == 0 {
            return Err(NoLease::NoTime);
        }
        Ok(SocketAddr::new(external, mapping.external_port().get()))
    });
    match sensible {
        Ok(external) => Ok(Lease {
            external,
            lifetime: Duration::from_secs(mapping.lifetime().min(LIFETIME).into()),
            held: Held::Mapping(mapping),
        }),
        Err(error) => {
            // Whether it hears that or not, there is nothing else to be done.
            let _ = mapping.try_drop().await;
            Err(error)
        }
    }
}

/// PCP writes IPv4 addresses as IPv6 ones (RFC 6887 section 5).
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

#[cfg(feature = "upnp")]
mod upnp {
    use std::net::SocketAddr;
    use std::num::NonZeroU16;
    use std::time::Duration;

    use igd_next::aio::Gateway;
    use igd_next::aio::tokio::{Tokio, search_gateway};
    use igd_next::{AddPortError, GatewayIpVersion, PortMappingProtocol, SearchOptions};

    use super::{LIFETIME, Lease, NoLease};
    use crate::address::is_public;
    use crate::mapper::Options;

    /// For one that answers a search, and for all that a search takes: two documents to fetch.
    const ANSWER: Duration = Duration::from_secs(3);
    const SEARCH: Duration = Duration::from_secs(8);

    /// What people see who look at the mappings of their gateway.
    const DESCRIPTION: &str = "telemesh";

    /// See [`super::Held`].
    pub(crate) struct Held {
        gateway: Gateway<Tokio>,
        /// From the gateway to us.
        mapping: (SocketAddr, SocketAddr),
    }

    /// Everything that answers is taken for a gateway, and asked for nothing but this: what it says about itself leads packets
    /// nowhere but to its own address, of which the library sees to it.
    pub(super) async fn map(port: NonZeroU16, options: &Options) -> Result<Lease<super::Held>, NoLease> {
        let mut search = SearchOptions::default();
        search.timeout = Some(SEARCH);
        search.single_search_timeout = Some(ANSWER);
        search.gateway_ip_version = GatewayIpVersion::V4;
        if let Some(address) = options.upnp_at {
            search.broadcast_address = address;
            search.allowed_gateway_ips = vec![address.ip()];
        }
        let gateway = search_gateway(search).await.map_err(failed)?;
        let std::net::IpAddr::V4(at) = gateway.addr.ip() else { return Err(NoLease::NoGateway) };
        let client = crate::route::source_towards(at).ok_or(NoLease::NoGateway)?;
        let local = SocketAddr::new(client.into(), port.get());
        let external = gateway.get_external_ip().await.map_err(failed)?;
        if !is_public(&external) {
            return Err(NoLease::NotPublic(external));
        }
        let udp = PortMappingProtocol::UDP;
        let outside = match gateway.add_port(udp, port.get(), local, LIFETIME, DESCRIPTION).await {
            Ok(()) => port.get(),
            Err(AddPortError::PortInUse) => {
                gateway.add_any_port(udp, local, LIFETIME, DESCRIPTION).await.map_err(failed)?
            }
            Err(error) => return Err(failed(error)),
        };
        lease(Held { gateway, mapping: (SocketAddr::new(external, outside), local) })
    }

    pub(super) async fn renew(held: Held) -> Result<Lease<super::Held>, NoLease> {
        let (external, local) = held.mapping;
        let now = held.gateway.get_external_ip().await.map_err(failed)?;
        if now != external.ip() {
            release(held).await;
            // The next try finds out what is the case.
            return Err(NoLease::NoTime);
        }
        let udp = PortMappingProtocol::UDP;
        let again = held.gateway.add_port(udp, external.port(), local, LIFETIME, DESCRIPTION).await;
        again.map_err(failed)?;
        lease(held)
    }

    pub(super) async fn release(held: Held) {
        let (external, _) = held.mapping;
        if let Err(error) = held.gateway.remove_port(PortMappingProtocol::UDP, external.port()).await {
            tracing::debug!(%error, "the gateway does not take its port back");
        }
    }

    fn lease(held: Held) -> Result<Lease<super::Held>, NoLease> {
        let (external, _) = held.mapping;
        if external.port() == 0 {
            return Err(NoLease::NoTime);
        }
        let lifetime = Duration::from_secs(LIFETIME.into());
        Ok(Lease { external, lifetime, held: super::Held::Upnp(held) })
    }

    /// What went wrong. It may quote the gateway: a megabyte of whatever it likes.
    fn failed(error: impl std::error::Error) -> NoLease {
        const SHOWN: usize = 120;
        let text = error.to_string();
        NoLease::Upnp(text.chars().take(SHOWN).flat_map(char::escape_debug).collect())
    }
}
