//! `box`: messages for and from those who are away.

use std::path::PathBuf;
use std::time::Duration;

use data_encoding::BASE64;
use telemesh::boxes::limits::MAX_CONTENT;
use telemesh::boxes::{Message, SendError, Stage};
use telemesh::{Hashname, Network as _};

use crate::endpoint::Endpoint;
use crate::event::Happened;
use crate::failure::Failure;
use crate::secret::Secret;
use crate::session::Session;
use crate::target;

/// How long receipts may take to get away before an endpoint ends.
const FLUSH: Duration = Duration::from_secs(3);

/// What is sent.
pub(super) enum Content {
    /// As it is.
    Text(String),
    /// What is in a file.
    File(PathBuf),
}

/// Sends a message, and waits for a while whether somebody takes it.
pub(super) async fn send(
    endpoint: &Endpoint,
    session: &Session,
    to: &Secret,
    content: Content,
    via: &[Secret],
    wait: Duration,
) -> Result<(), Failure> {
    let recipient = contact(endpoint, to)?;
    if !via.is_empty() {
        let caches = via.iter().map(|cache| contact(endpoint, cache)).collect::<Result<Vec<_>, _>>()?;
        let boxes = endpoint.boxes();
        boxes.set_caches(boxes.caches().with(recipient, caches));
    }
    let content = match content {
        Content::Text(text) => text.into_bytes(),
        Content::File(path) => read(path).await?,
    };
    let outbox = endpoint.boxes().outbox();
    let id = outbox.send(&recipient, content).await.map_err(failure)?;
    let _ = tokio::time::timeout(wait, outbox.reached(&id, Stage::Cached)).await;
    let pending = outbox.pending().into_iter().find(|pending| pending.id == id);
    let stage = pending.as_ref().map_or("read", |pending| word(pending.stage));
    session
        .happened(Happened::Boxed {
            id: id.to_string(),
            hashname: recipient.to_string(),
            name: endpoint.name_of(&recipient),
            stage: stage.to_owned(),
            caches: pending.iter().flat_map(|pending| &pending.caches).map(ToString::to_string).collect(),
            bytes: None,
            sent_at: None,
        })
        .await
}

/// Says what has arrived, and acknowledges each message once it is written.
pub(super) async fn receive(endpoint: &Endpoint, session: &Session, wait: Duration) -> Result<(), Failure> {
    let mut inbox = endpoint.boxes().inbox().map_err(|error| Failure::Failed(error.to_string()))?;
    if endpoint.running().is_none() {
        // Nobody else does: whoever keeps something for us tells us when the link is up.
        let mesh = endpoint.mesh();
        mesh.contacts().iter().for_each(|contact| mesh.connect(&contact.hashname()));
    }
    while let Ok(Some(message)) = tokio::time::timeout(wait, inbox.next()).await {
        session.told(shown(endpoint, &message)).await?;
        message.ack().await.map_err(|error| Failure::Failed(error.to_string()))?;
    }
    endpoint.boxes().flush(FLUSH).await;
    Ok(())
}

/// Says what waits, out and in.
pub(super) async fn list(endpoint: &Endpoint, session: &Session) -> Result<(), Failure> {
    for pending in endpoint.boxes().outbox().pending() {
        session
            .happened(Happened::Boxed {
                id: pending.id.to_string(),
                hashname: pending.to.to_string(),
                name: endpoint.name_of(&pending.to),
                stage: word(pending.stage).to_owned(),
                caches: pending.caches.iter().map(ToString::to_string).collect(),
                bytes: Some(pending.size.into()),
                sent_at: Some(pending.sent_at),
            })
            .await?;
    }
    for waiting in endpoint.boxes().waiting() {
        session
            .happened(Happened::Unread {
                id: waiting.id.to_string(),
                hashname: waiting.from.to_string(),
                name: endpoint.name_of(&waiting.from),
                bytes: waiting.size.into(),
                sent_at: waiting.sent_at,
            })
            .await?;
    }
    Ok(())
}

/// The contact that is meant: a box is for those whose keys are known.
fn contact(endpoint: &Endpoint, to: &Secret) -> Result<Hashname, Failure> {
    let meant = target::hashname(&endpoint.target(to)?);
    let known = meant.filter(|peer| endpoint.mesh().contact(peer).is_some());
    known.ok_or_else(|| Failure::Usage("TO: a box is for contacts; see `telemesh contacts add`".into()))
}

async fn read(path: PathBuf) -> Result<Vec<u8>, Failure> {
    let shown = path.display().to_string();
    let failed = |reason: String| Failure::Usage(format!("{shown}: {reason}"));
    let reading = tokio::task::spawn_blocking(move || {
        use std::io::Read as _;
        let mut content = Vec::new();
        let most = u64::try_from(MAX_CONTENT).unwrap_or(u64::MAX).saturating_add(1);
        std::fs::File::open(path)?.take(most).read_to_end(&mut content).map(|_| content)
    });
    let content = reading.await.map_err(|error| failed(error.to_string()))?;
    let content = content.map_err(|error| failed(error.to_string()))?;
    if content.len() > MAX_CONTENT {
        return Err(failed("longer than 16 MiB; `telemesh send` takes files of any length".into()));
    }
    Ok(content)
}

fn shown(endpoint: &Endpoint, message: &Message) -> Happened {
    let text = std::str::from_utf8(message.content()).ok().map(ToOwned::to_owned);
    Happened::Message {
        id: message.id().to_string(),
        hashname: message.from().to_string(),
        name: endpoint.name_of(&message.from()),
        sent_at: message.sent_at(),
        base64: text.is_none().then(|| BASE64.encode(message.content())),
        text,
    }
}

pub(super) fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Cached => "cached",
        Stage::Arrived => "arrived",
        _ => "kept",
    }
}

fn failure(error: SendError) -> Failure {
    match error {
        SendError::TooLong { .. } | SendError::Ourselves => Failure::Usage(error.to_string()),
        error => Failure::Failed(error.to_string()),
    }
}
