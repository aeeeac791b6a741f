//! A message for somebody who is away: its sender is gone when they come, and a third endpoint has kept it.

use std::sync::Arc;

use telemesh::boxes::{CacheLimits, CacheSecret, Caches, MemoryStore, Stage};
use telemesh::{Contact, Grants, MeshBoxes as _};

use super::endpoint::Endpoint;
use super::report::Outcome;

const TEXT: &str = "see you at nine";

/// Carol writes to Dave, who comes when she is gone. A router keeps the message meanwhile.
pub(super) async fn run() -> Outcome<()> {
    let (carol, router, dave) = (Endpoint::new().await?, Endpoint::new().await?, Endpoint::new().await?);
    let (info, address) = (dave.info(), dave.address().ok_or("dave has no address")?);
    let remains = dave.die();

    let mut grants = Grants::link();
    grants.insert(telemesh::boxes::GRANT.parse()?)?;
    router.mesh.set_contact(Contact::new(carol.info()).with_grants(grants))?;
    router.mesh.add_contact(info.clone())?;
    carol.mesh.add_contact(info.clone())?;
    let secret = CacheSecret::from_bytes(rand::random());
    let kept =
        router.mesh.boxes().cache(Arc::new(MemoryStore::new()), secret, CacheLimits::default()).start()?;
    let caches = Caches::for_all([router.mesh.hashname()]);
    let boxes = carol.mesh.boxes().caches(caches).start()?;
    carol.mesh.link(router.info()).await?;
    let outbox = boxes.outbox();
    let id = outbox.send(&info.hashname(), TEXT).await?;
    outbox.reached(&id, Stage::Cached).await;
    let from = carol.info();
    // The message is with the router by now, whatever became of the rest.
    let _ = carol.mesh.close().await;
    drop(boxes);

    let (mesh, _streams) = remains.come_back(address).await?;
    mesh.add_contact(from.clone())?;
    let boxes = mesh.boxes().start()?;
    mesh.link(router.info()).await?;
    let message = boxes.inbox()?.next().await.ok_or("the boxes have ended")?;
    if message.content() != TEXT || message.from() != from.hashname() {
        return Err("another message came than was sent".into());
    }
    let size = kept.cache_use().map_or(0, |used| used.bytes);
    message.ack().await?;
    Ok(((), format!("{size} sealed bytes with the router, read and acknowledged")))
}
