//! What one endpoint serves over HTTP, and a WebSocket beside it, asked for by the other.

use telemesh::thtp::http::Request;
use telemesh::thtp::{Body, Folder, SERVE};
use telemesh::ws::{Message, WebSocket};
use telemesh::{HttpOpener as _, HttpServer as _, Link, Mesh, WsOpener as _, WsServer as _};

use super::report::Outcome;

/// Bytes of the file that is served.
const FILE: usize = 1 << 20;

/// Messages that go there and back.
const MESSAGES: u32 = 1_000;

/// Alice serves a folder to Bob, who asks for a file and for a part of it.
pub(super) async fn folder(alice: &Mesh, link: &Link, bob: &telemesh::Hashname) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let content: Vec<u8> = (0..FILE).map(|index| u8::try_from(index % 251).unwrap_or(0)).collect();
    std::fs::write(folder.path().join("file"), &content)?;
    alice.serve_http(Folder::new(folder.path()))?;
    let refused = link.http(Request::get("/file").body(Body::empty())?).await;
    if refused.is_ok() {
        return Err("a peer without the grant was served".into());
    }
    grant(alice, bob)?;
    let whole = body(link, Request::get("/file").body(Body::empty())?).await?;
    let part = Request::get("/file").header("range", "bytes=1000-1999").body(Body::empty())?;
    let part = body(link, part).await?;
    if whole != content || Some(part.as_slice()) != content.get(1000..2000) {
        return Err("other bytes arrived than are in the file".into());
    }
    Ok(((), "refused without the grant; then a file, and a range of it".to_owned()))
}

fn grant(alice: &Mesh, bob: &telemesh::Hashname) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let contact = alice.contact(bob).ok_or("bob is no contact")?;
    let mut grants = alice.grants(bob);
    grants.insert(SERVE.parse()?)?;
    alice.set_contact(contact.with_grants(grants))?;
    Ok(())
}

async fn body(
    link: &Link,
    request: Request<Body>,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut body = link.http(request).await?.into_body();
    let mut all = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// Messages to Alice and back, one after the other.
pub(super) async fn messages(alice: &Mesh, link: &Link) -> Outcome<()> {
    alice.on_ws("/echo", |mut socket: WebSocket| async move {
        while let Ok(Some(message @ Message::Text(_))) = socket.receive().await {
            if socket.send(message).await.is_err() {
                return;
            }
        }
    })?;
    let mut socket = link.ws("/echo").await?;
    for number in 0..MESSAGES {
        let text = format!("message {number}");
        socket.send(text.as_str()).await?;
        if socket.receive().await? != Some(Message::from(text)) {
            return Err(format!("message {number} did not come back").into());
        }
    }
    socket.close(1000, "").await?;
    Ok(((), format!("{MESSAGES} there and back")))
}
